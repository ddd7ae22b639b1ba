package app

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"rapport.example/internal/api"
	"rapport.example/internal/fault"
	"rapport.example/internal/filter"
	"rapport.example/internal/object"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
	"rapport.example/internal/workspace"
)

// Objects are the reads of objects and their relationships. Their lists run by what never changes.
type Objects interface {
	// ObjectTypes lists the types that objects have or had, ascending.
	ObjectTypes(ctx context.Context, workspace int64) ([]int64, error)
	CountObjects(ctx context.Context, workspace int64) (int64, error)
	// FindObject is nil if there is no such object.
	FindObject(ctx context.Context, workspace int64, k object.Key) (*object.Object, error)
	// SearchObjects lists up to limit objects of a type that meet the filter with ids after one, by id; next is the after of
	// the following page, "" at the end. A page may be short, even empty, while next is not "".
	SearchObjects(ctx context.Context, workspace, typ int64, f *filter.Filter, after string, limit int) (page []object.Object, next string, err error)
	// ObjectsOf lists up to limit objects of a person with numbers after one, by number.
	ObjectsOf(ctx context.Context, who person.Ref, after int64, limit int) ([]object.Related, error)
	// PeopleOf lists up to limit people of an object, by its number, with ordinals after one, by ordinal.
	PeopleOf(ctx context.Context, workspace, number, after int64, limit int) ([]object.Related, error)
}

type (
	// ObjectIdentifiers name an object of a type.
	ObjectIdentifiers struct {
		ObjectID string `json:"object_id"`
		CIO      string `json:"cio_object_id"`
	}

	// ObjectType is a type of objects. It is not defined anywhere: its names are made of its number.
	ObjectType struct {
		ID           string `json:"id"`
		Name         string `json:"name"`
		SingularName string `json:"singular_name"`
		Slug         string `json:"slug"`
		SingularSlug string `json:"singular_slug"`
		Enabled      bool   `json:"enabled"`
		Icon         string `json:"icon"`
	}

	// ObjectTypesAnswer lists the types that objects have or had.
	ObjectTypesAnswer struct {
		Types []ObjectType `json:"types"`
	}

	// ObjectsRequest finds objects of a type by a filter; see package filter.
	ObjectsRequest struct {
		Type   value.Value `json:"object_type_id"` // a number, mostly as text
		Filter value.Value `json:"filter"`
	}

	// ObjectsAnswer is a page of objects found.
	ObjectsAnswer struct {
		Identifiers []ObjectIdentifiers `json:"identifiers"`
		IDs         []string            `json:"ids"`
		Next        string              `json:"next"`
	}

	// Object is an object with its attributes as they were written, and when (Unix seconds).
	Object struct {
		Attributes  value.Value       `json:"attributes"`
		Timestamps  value.Value       `json:"timestamps"`
		Identifiers ObjectIdentifiers `json:"identifiers"`
		Type        string            `json:"object_type_id"`
	}

	// ObjectAnswer wraps an Object.
	ObjectAnswer struct {
		Object Object `json:"object"`
	}

	// PersonRelationship is an object that a person is related to, with the relationship's attributes.
	PersonRelationship struct {
		Type        int64             `json:"object_type_id"`
		Identifiers ObjectIdentifiers `json:"identifiers"`
		Attributes  value.Value       `json:"attributes"`
		Timestamps  value.Value       `json:"timestamps"`
	}

	// PersonRelationshipsAnswer is a page of a person's relationships.
	PersonRelationshipsAnswer struct {
		Relationships []PersonRelationship `json:"cio_relationships"`
		Next          string               `json:"next"`
	}

	// ObjectRelationship is a person who is related to an object.
	ObjectRelationship struct {
		Identifiers Identifiers `json:"identifiers"`
		Type        string      `json:"object_type_id"`
		Disabled    bool        `json:"object_type_disabled"` // never: types cannot be turned off
	}

	// ObjectRelationshipsAnswer is a page of an object's relationships.
	ObjectRelationshipsAnswer struct {
		Relationships []ObjectRelationship `json:"cio_relationships"`
		Next          string               `json:"next"`
	}
)

// Sizes of pages. A relationship's attributes may take 100 KiB, which a person's list shows.
const (
	defObjects          = 50
	maxObjects          = 1000
	maxOwnRelationships = 100
)

// objectIDType says what an object is named by.
var objectIDType = api.Word("id_type", "object_id", []string{"object_id", "cio_object_id"}, "What the object is named by.")

func (s *surface) objectRoutes() []api.Route {
	return []api.Route{
		s.get("/v1/customers/{customer_id}/relationships", PersonRelationshipsAnswer{}, s.relationshipsOf, "Lists the objects that a person is related to.").Paged(defObjects, maxOwnRelationships).With(api.IDType),
		s.get("/v1/object_types", ObjectTypesAnswer{}, s.objectTypes, "Lists the types of objects."),
		{
			Method: http.MethodPost, Path: "/v1/objects", Auth: api.AppKey, Agent: workspace.Read, Scope: workspace.Read, Limit: api.LimitApp, Shape: api.AppErrors, MaxBody: MaxPeople,
			Request: ObjectsRequest{}, Response: ObjectsAnswer{}, Page: api.Page{Usual: defObjects, Most: maxObjects}, Handler: s.fresh(s.searchObjects), Doc: "Finds objects of a type by attributes.",
		},
		s.get("/v1/objects/{type_id}/{object_id}/attributes", ObjectAnswer{}, s.objectAttributes, "Reads an object's attributes.").With(objectIDType),
		s.get("/v1/objects/{type_id}/{object_id}/relationships", ObjectRelationshipsAnswer{}, s.relatedPeople, "Lists the people who are related to an object.").Paged(defObjects, maxObjects).With(objectIDType),
	}
}

func (s *surface) objectTypes(c *api.Call) error {
	types, err := s.o.Store.ObjectTypes(c.R.Context(), c.Workspace)
	if err != nil {
		return err
	}
	out := ObjectTypesAnswer{Types: []ObjectType{}}
	for _, n := range types {
		id := strconv.FormatInt(n, 10)
		out.Types = append(out.Types, ObjectType{id, "Objects " + id, "Object " + id, "objects_" + id, "object_" + id, true, ""})
	}
	return c.JSON(http.StatusOK, out)
}

func (s *surface) searchObjects(c *api.Call) error {
	body, err := c.Object()
	if err != nil {
		return err
	}
	typ, err := strconv.ParseInt(body.Get("object_type_id").Text(), 10, 64)
	if err != nil || typ < 1 || typ > object.MaxType {
		return fault.Field("object_type_id", "must be the number of a type of objects")
	}
	f, err := filter.Objects(body.Get("filter"), "filter")
	if err != nil {
		return err
	}
	for _, l := range f.Leaves() {
		if l.Type != 0 && l.Type != typ {
			return fault.Field(l.Path+".type_id", "must be that of object_type_id, %d", typ)
		}
	}
	limit, err := c.Limit()
	if err != nil {
		return err
	}
	list := api.List{Name: "objects", Workspace: c.Workspace, Filter: fmt.Sprintf("%d\x00%s", typ, f.JSON())}
	after, err := s.cursor.Decode(list, c.Start())
	if err != nil {
		return err
	}
	found, next, err := some(after, func(after string) ([]object.Object, string, error) {
		return s.o.Store.SearchObjects(c.R.Context(), c.Workspace, typ, f, after, limit)
	})
	if err != nil {
		return err
	}
	out := ObjectsAnswer{Identifiers: []ObjectIdentifiers{}, IDs: []string{}}
	for i := range found {
		out.Identifiers = append(out.Identifiers, ObjectIdentifiers{found[i].ID, found[i].CIO})
		out.IDs = append(out.IDs, found[i].ID)
	}
	if next != "" {
		out.Next = s.cursor.Encode(list, next)
	}
	return c.JSON(http.StatusOK, out)
}

// object finds the object in the path, or is NotFound: it must be of the type in the path, by cio_object_id too.
func (s *surface) object(c *api.Call) (*object.Object, error) {
	typ, err := c.ParamID("type_id")
	if err != nil {
		return nil, err
	}
	id := c.Param("object_id")
	if strings.TrimSpace(id) == "" || len(id) > object.MaxID || !utf8.ValidString(id) || strings.ContainsRune(id, 0) {
		return nil, fault.Field("object_id", "is not an identifier: empty, longer than %d bytes, or not plain UTF-8", object.MaxID)
	}
	k := object.Key{Type: typ, ID: id}
	if c.Query(objectIDType.Name) == "cio_object_id" {
		k = object.Key{CIO: id}
	}
	o, err := s.o.Store.FindObject(c.R.Context(), c.Workspace, k)
	if err == nil && (o == nil || o.Type != typ) {
		err = fault.New(fault.NotFound, "there is no such object")
	}
	return o, err
}

func (s *surface) objectAttributes(c *api.Call) error {
	o, err := s.object(c)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, ObjectAnswer{Object{
		Attributes: o.Attributes.Values(), Timestamps: o.Attributes.Times(), Identifiers: ObjectIdentifiers{o.ID, o.CIO}, Type: strconv.FormatInt(o.Type, 10),
	}})
}

func (s *surface) relationshipsOf(c *api.Call) error {
	d, err := s.person(c)
	if err != nil {
		return err
	}
	p, err := s.page(c, "person_relationships", d.CIO)
	if err != nil {
		return err
	}
	rows, err := s.o.Store.ObjectsOf(c.R.Context(), d.Ref, p.from, p.limit+1)
	if err != nil {
		return err
	}
	out := PersonRelationshipsAnswer{Relationships: []PersonRelationship{}}
	if len(rows) > p.limit {
		rows = rows[:p.limit]
		out.Next = s.next(p, rows[p.limit-1].Object.Number)
	}
	for i := range rows {
		o, a := &rows[i].Object, rows[i].Relationship
		out.Relationships = append(out.Relationships, PersonRelationship{o.Type, ObjectIdentifiers{o.ID, o.CIO}, a.Values(), a.Times()})
	}
	return c.JSON(http.StatusOK, out)
}

func (s *surface) relatedPeople(c *api.Call) error {
	o, err := s.object(c)
	if err != nil {
		return err
	}
	p, err := s.page(c, "object_relationships", o.CIO)
	if err != nil {
		return err
	}
	rows, err := s.o.Store.PeopleOf(c.R.Context(), c.Workspace, o.Number, p.from, p.limit+1)
	if err != nil {
		return err
	}
	out := ObjectRelationshipsAnswer{Relationships: []ObjectRelationship{}}
	if len(rows) > p.limit {
		rows = rows[:p.limit]
		out.Next = s.next(p, int64(rows[p.limit-1].Person))
	}
	ordinals := make([]uint32, len(rows))
	for i := range rows {
		ordinals[i] = rows[i].Person
	}
	docs, err := s.documents(c.R.Context(), c.Workspace, ordinals)
	if err != nil {
		return err
	}
	for _, who := range ordinals {
		if d := docs[who]; d != nil { // else deleted since
			out.Relationships = append(out.Relationships, ObjectRelationship{Identifiers: identifiers(d), Type: strconv.FormatInt(o.Type, 10)})
		}
	}
	return c.JSON(http.StatusOK, out)
}
