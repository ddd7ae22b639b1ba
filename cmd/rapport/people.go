package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// persona is a made-up person of the demo. The same seed makes the same people.
type persona struct {
	id, first, last, email, plan, country, source string
	arrives                                       int // day, 0 to 59
	activates                                     int // days after arriving; -1 = never
	buys                                          []int
	leaves                                        bool // unsubscribes from the first mail
}

var (
	firstNames = strings.Fields("Ada Alan Amara Ana Aoife Ben Bodil Carlos Chidi Chiara Dana Diego Edith Elif Emeka Femi Freya Grace Hana Hugo Ida Imran Ines Ivo Jana Jonas Kaito Kira Lars Leila Lena Lin Luca Mai Marta Mateo Mina Nadia Nils Noor Olga Omar Paola Pavel Priya Quinn Rosa Ravi Sana Sofia Sven Tariq Tove Uma Vera Viktor Wen Yara Yusuf Zoe")
	lastNames  = strings.Fields("Abara Almeida Andersen Bauer Becker Bianchi Brandt Costa Dahl Demir Diaz Eriksen Fischer Fontana Garcia Haddad Hansen Hoffmann Ito Jansen Kaya Keller Khan Kimura Kowalski Larsen Lindqvist Lopez Mbeki Meyer Moreau Nakamura Novak Nowak Okafor Olsen Ortega Patel Petrov Quist Rahman Rossi Sato Schmidt Silva Singh Suzuki Tanaka Torres Varga Vogel Weber Yilmaz Zhang")
	domains    = []string{"example.com", "example.org", "example.net", "post.example", "mail.example", "inbox.example"}
	countries  = strings.Fields("DE FR ES IT PL SE NO DK NL GB IE PT TR IN JP BR NG ZA US CA")
)

const demoDays = 60

// people makes n of them from a seed.
func people(n int, seed uint64) []persona {
	r := rand.New(rand.NewPCG(seed, 60))
	pick := func(list []string) string { return list[r.IntN(len(list))] }
	out := make([]persona, n)
	for i := range out {
		p := persona{
			id: fmt.Sprintf("u%04d", i+1), first: pick(firstNames), last: pick(lastNames), country: pick(countries),
			plan: []string{"free", "free", "pro", "pro", "pro", "team"}[r.IntN(6)], source: []string{"web", "web", "web", "ad", "friend", "import"}[r.IntN(6)],
			arrives: r.IntN(demoDays), activates: -1, leaves: r.IntN(25) == 0,
		}
		domain := pick(domains)
		if r.IntN(20) == 0 {
			domain = "bounce.example" // the development mailbox refuses it
		}
		p.email = strings.ToLower(fmt.Sprintf("%s.%s%d@%s", p.first, p.last, i+1, domain))
		if r.IntN(100) < 55 {
			p.activates = r.IntN(6)
		}
		if p.plan != "free" && r.IntN(100) < 45 {
			for range 1 + r.IntN(3) {
				p.buys = append(p.buys, 1+r.IntN(20))
			}
		}
		out[i] = p
	}
	return out
}
