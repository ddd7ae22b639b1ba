package admin

import (
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"rapport.example/internal/api"
	"rapport.example/internal/fault"
	"rapport.example/internal/object"
	"rapport.example/internal/value"
)

type (
	// Object is an object. Times are Unix seconds.
	Object struct {
		Type       int64       `json:"type"`
		ID         string      `json:"id"`
		CIO        string      `json:"cio_object_id"`
		Created    int64       `json:"created"`              // of the workspace's clock
		Updated    int64       `json:"updated"`              // of its newest write
		Attributes value.Value `json:"attributes,omitempty"` // as they were written; lists leave them out
		Timestamps value.Value `json:"timestamps,omitempty"` // when each was set
	}

	// ObjectTypesAnswer lists the types that objects have or had.
	ObjectTypesAnswer struct {
		Types []int64 `json:"types"`
	}

	// ObjectsAnswer is a page of the objects of a type, by id.
	ObjectsAnswer struct {
		Objects []Object `json:"objects"`
		Next    string   `json:"next"`
	}

	// Relationship joins a person and an object; it shows the one of them that was not asked for.
	Relationship struct {
		Person     *Person     `json:"person,omitempty"`
		Type       int64       `json:"type,omitempty"` // of the object
		ID         string      `json:"id,omitempty"`
		CIO        string      `json:"cio_object_id,omitempty"`
		Created    int64       `json:"created"` // Unix seconds of the workspace's clock
		Attributes value.Value `json:"attributes"`
		Timestamps value.Value `json:"timestamps"`
	}

	// RelationshipsAnswer is a page of relationships, the oldest objects or people first.
	RelationshipsAnswer struct {
		Relationships []Relationship `json:"relationships"`
		Next          string         `json:"next"`
	}
)

// maxRelationships bounds a page; the attributes of each may take 100 KiB.
const maxRelationships = 100

func (s *Surface) objectRoutes() []api.Route {
	get := func(path string, response any, h api.Handler, doc string) api.Route {
		return api.Route{Method: http.MethodGet, Path: "/admin/v1/" + path, Auth: api.AdminKey, Shape: api.Problem, Response: response, Handler: h, Doc: doc}
	}
	return []api.Route{
		get("object_types", ObjectTypesAnswer{}, s.objectTypes, "Lists the types of objects.").With(inWorkspace),
		get("objects/{type}", ObjectsAnswer{}, s.objects, "Lists the objects of a type, by id.").Paged(50, 500).With(inWorkspace),
		get("objects/{type}/{id}", Object{}, s.object, "Reads an object.").With(inWorkspace),
		get("objects/{type}/{id}/people", RelationshipsAnswer{}, s.relatedPeople, "Lists the people who are related to an object.").Paged(50, maxRelationships).With(inWorkspace),
		get("people/{person}/relationships", RelationshipsAnswer{}, s.relationships, "Lists the objects that a person is related to.").Paged(50, maxRelationships).With(inWorkspace),
	}
}

func (s *Surface) objectTypes(c *api.Call) error {
	w, err := s.of(c)
	if err != nil {
		return err
	}
	types, err := s.o.Store.ObjectTypes(c.R.Context(), w.ID)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, ObjectTypesAnswer{append([]int64{}, types...)})
}

func (s *Surface) objects(c *api.Call) error {
	w, err := s.of(c)
	if err != nil {
		return err
	}
	typ, err := c.ParamID("type")
	if err != nil {
		return err
	}
	limit, err := c.Limit()
	if err != nil {
		return err
	}
	list := api.List{Name: "objects", Workspace: w.ID, Filter: strconv.FormatInt(typ, 10)}
	after, err := s.cursor.Decode(list, c.Start())
	if err != nil {
		return err
	}
	found, next, err := s.o.Store.SearchObjects(c.R.Context(), w.ID, typ, nil, after, limit)
	if err != nil {
		return err
	}
	out := ObjectsAnswer{Objects: []Object{}}
	for i := range found {
		out.Objects = append(out.Objects, shown(&found[i]))
	}
	if next != "" {
		out.Next = s.cursor.Encode(list, next)
	}
	return c.JSON(http.StatusOK, out)
}

func shown(o *object.Object) Object {
	return Object{Type: o.Type, ID: o.ID, CIO: o.CIO, Created: o.Created / 1000, Updated: o.Updated / 1000}
}

// inPath finds the object that the path names by type and id.
func (s *Surface) inPath(c *api.Call, workspace int64) (*object.Object, error) {
	typ, err := c.ParamID("type")
	if err != nil {
		return nil, err
	}
	id := c.Param("id")
	if !utf8.ValidString(id) || strings.ContainsRune(id, 0) {
		return nil, fault.Field("id", "must be valid UTF-8 without NUL")
	}
	o, err := s.o.Store.FindObject(c.R.Context(), workspace, object.Key{Type: typ, ID: id})
	if err == nil && o == nil {
		err = fault.New(fault.NotFound, "there is no such object")
	}
	return o, err
}

func (s *Surface) object(c *api.Call) error {
	w, err := s.of(c)
	if err != nil {
		return err
	}
	o, err := s.inPath(c, w.ID)
	if err != nil {
		return err
	}
	out := shown(o)
	out.Attributes, out.Timestamps = o.Attributes.Values(), o.Attributes.Times()
	return c.JSON(http.StatusOK, out)
}

func (s *Surface) relatedPeople(c *api.Call) error {
	w, err := s.of(c)
	if err != nil {
		return err
	}
	o, err := s.inPath(c, w.ID)
	if err != nil {
		return err
	}
	return s.related(c, api.List{Name: "object_people", Workspace: w.ID, Filter: o.CIO}, func(after int64, limit int) ([]object.Related, error) {
		return s.o.Store.PeopleOf(c.R.Context(), w.ID, o.Number, after, limit)
	}, func(r *object.Related) int64 { return int64(r.Person) })
}

func (s *Surface) relationships(c *api.Call) error {
	w, err := s.of(c)
	if err != nil {
		return err
	}
	d, err := s.find(c.R.Context(), w.ID, c.Param("person"))
	if err != nil {
		return err
	}
	return s.related(c, api.List{Name: "person_relationships", Workspace: w.ID, Filter: d.CIO}, func(after int64, limit int) ([]object.Related, error) {
		rows, err := s.o.Store.ObjectsOf(c.R.Context(), d.Ref, after, limit)
		for i := range rows {
			rows[i].Person = 0 // who was asked for
		}
		return rows, err
	}, func(r *object.Related) int64 { return r.Object.Number })
}

// related answers a page of relationships that run by a number.
func (s *Surface) related(c *api.Call, list api.List, read func(after int64, limit int) ([]object.Related, error), number func(*object.Related) int64) error {
	limit, err := c.Limit()
	if err != nil {
		return err
	}
	after, err := s.position(c, list, 0)
	if err != nil {
		return err
	}
	rows, err := read(after, limit+1)
	if err != nil {
		return err
	}
	out := RelationshipsAnswer{Relationships: []Relationship{}}
	if len(rows) > limit {
		rows = rows[:limit]
		out.Next = s.next(list, number(&rows[limit-1]))
	}
	var people []uint32
	for i := range rows {
		if rows[i].Person != 0 {
			people = append(people, rows[i].Person)
		}
	}
	docs, err := s.o.Store.ReadPeople(c.R.Context(), list.Workspace, people)
	if err != nil {
		return err
	}
	for i := range rows {
		r := &rows[i]
		one := Relationship{Created: r.Created / 1000, Attributes: r.Relationship.Values(), Timestamps: r.Relationship.Times()}
		if r.Person == 0 {
			one.Type, one.ID, one.CIO = r.Object.Type, r.Object.ID, r.Object.CIO
		} else if d := docs[r.Person]; d != nil {
			one.Person = &Person{d.ID, d.Email, "cio_" + d.CIO}
		} else { // deleted since
			continue
		}
		out.Relationships = append(out.Relationships, one)
	}
	return c.JSON(http.StatusOK, out)
}
