package definition

import "testing"

// TestIdentifiers takes the setting through what can happen to it.
func TestIdentifiers(t *testing.T) {
	t.Parallel()
	g := newGround(t)
	const head = "schema: 1\nworkspace: acme\n"
	for _, step := range []struct {
		name, yaml          string
		prune               bool
		add, change, remove string
		phone               bool
	}{
		{name: "at first", yaml: head},
		{name: "on", yaml: head + "identifiers: [phone, email, id]\n", add: "identifiers.people", phone: true},
		{name: "on, in another order", yaml: head + "identifiers: [id, email, phone]\n", phone: true},
		{name: "left out", yaml: head, phone: true},
		{name: "null", yaml: head + "identifiers:\n", phone: true},
		{name: "off", yaml: head + "identifiers: [id, email]\n", change: "identifiers.people(by)"},
		{name: "on again", yaml: head + "identifiers: [id, email, phone]\n", change: "identifiers.people(by)", phone: true},
		{name: "pruned", yaml: head, prune: true, remove: "identifiers.people"},
		{name: "pruned again", yaml: head, prune: true},
		{name: "a new one", yaml: head + "identifiers: [id, email, phone]\n", add: "identifiers.people", phone: true},
	} {
		p := g.apply(step.yaml, step.prune)
		if names(p.Add) != step.add || names(p.Change) != step.change || names(p.Remove) != step.remove {
			t.Errorf("%s: add %s, change %s, remove %s", step.name, names(p.Add), names(p.Change), names(p.Remove))
		}
		if set, rows := g.set().ByPhone(), ByPhone(g.rows); set != step.phone || rows != step.phone {
			t.Errorf("%s: a phone identifies: %t in the set, %t in the rows, want %t", step.name, set, rows, step.phone)
		}
	}
}
