// Package catalog is the service guide: what a program or an agent must know to connect a service, with a source and a date
// for every fact, recipes that span services, and two scores that anyone can recompute.
//
// An entry is a reviewable YAML file. Scores, grades, rankings and searches are pure functions of the entries: no clock, no
// network, no judgement but the rules written here. What is not known earns nothing and is shown as not verified.
package catalog

import (
	"cmp"
	"embed"
	"slices"
)

// FormulaVersion names the rules by which the scores are computed. It changes with any weight, check or factor.
const FormulaVersion = "2026-11"

//go:embed services/*.yaml recipes/*.yaml
var files embed.FS

// Catalog is a set of services and recipes. It is never changed after it was made and safe for concurrent use.
type Catalog struct {
	services []Service // by id
	recipes  []Recipe  // by id
}

// Embedded is the catalogue that the program carries.
func Embedded() (*Catalog, error) { return Load(files) }

// With is the catalogue with one more service, or another entry in place of the one with the same id.
func (c *Catalog) With(s Service) *Catalog {
	out := &Catalog{recipes: c.recipes}
	out.services = append(out.services, s)
	for i := range c.services {
		if c.services[i].ID != s.ID {
			out.services = append(out.services, c.services[i])
		}
	}
	sortServices(out.services)
	return out
}

func sortServices(list []Service) {
	slices.SortFunc(list, func(a, b Service) int { return cmp.Compare(a.ID, b.ID) })
}

// Services lists all entries by id. The slice is the caller's, what it points to is not.
func (c *Catalog) Services() []Service { return slices.Clone(c.services) }

// Recipes lists all recipes by id.
func (c *Catalog) Recipes() []Recipe { return slices.Clone(c.recipes) }

// Service finds an entry by its id; nil if there is none.
func (c *Catalog) Service(id string) *Service {
	i, ok := slices.BinarySearchFunc(c.services, id, func(s Service, id string) int { return cmp.Compare(s.ID, id) })
	if !ok {
		return nil
	}
	return &c.services[i]
}

// RecipesFor lists the recipes that need a service.
func (c *Catalog) RecipesFor(service string) []Recipe {
	var out []Recipe
	for _, r := range c.recipes {
		if slices.Contains(r.Services(), service) {
			out = append(out, r)
		}
	}
	return out
}

// Categories lists the categories that are in use, by name.
func (c *Catalog) Categories() []string {
	var out []string
	for i := range c.services {
		out = append(out, c.services[i].Category)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
