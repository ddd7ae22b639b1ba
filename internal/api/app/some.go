package app

// stretches is how many bounded stretches of rows one page of a list may look at.
const stretches = 100

// some asks for pages until one has an entry or the list ends: clients take an empty page for its end. Of a list so long that 100 stretches
// hold nothing that is asked for, which are two million people or as many messages and activities, it gives an empty page and where to go on.
func some[T any, C comparable](from C, page func(from C) (list []T, next C, err error)) (list []T, next C, err error) {
	var end C
	for range stretches {
		list, next, err = page(from)
		if err != nil || len(list) > 0 || next == end {
			break
		}
		from = next
	}
	return list, next, err
}
