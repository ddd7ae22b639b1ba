package engine

import (
	"slices"

	"rapport.example/internal/event"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
)

// device adds, updates or deletes a push device. An unknown person is created by adding one.
//
// A token is one installation of an app, which is in the hands of one person: adding it takes it from whoever had it, so
// that nobody is shown what was meant for the one who used the phone before. The vendor says nothing of that.
func (b *batch) device(w *work, pl ingest.DevicePayload) error {
	who := pl.By.Identifier()
	if b.blocked(w, who) {
		return nil
	}
	s := b.find(w.t, who)
	if s == nil && (w.op.Kind == ingest.DeleteDevice || who.Type == person.ByCIO) {
		b.failed(w, nil, "nobody has this identifier", who)
		return nil
	}
	if w.op.Kind == ingest.DeleteDevice {
		if s.device(pl.Token) < 0 {
			b.failed(w, s, "the person has no such device", person.Identifier{})
			return nil
		}
		b.dropDevice(w.now, s, s.device(pl.Token), "")
		return b.settle(s, w.now, touched{devices: true})
	}
	created := s == nil
	if created {
		s = b.create(w.t, w.now, who)
		b.note(w.t, s, event.Activity{Type: event.Created, At: w.now, Received: w.now})
	}
	if err := b.takeDevice(w, s, pl.Token); err != nil {
		return err
	}
	b.addDevice(w, s, pl)
	return b.settle(s, w.now, touched{all: created, devices: true})
}

// addDevice adds a device or changes it. Attributes that a call does not name stay as they are: the clients of some
// languages send none with a new last_used.
func (b *batch) addDevice(w *work, s *subject, pl ingest.DevicePayload) {
	i, verb := s.device(pl.Token), "updated"
	if i < 0 {
		i, verb = len(s.doc.Devices), "added"
		s.doc.Devices = append(s.doc.Devices, person.Device{Token: pl.Token})
	}
	d := &s.doc.Devices[i]
	d.Platform, d.LastUsed = pl.Platform, pl.LastUsed
	if d.LastUsed == 0 {
		d.LastUsed = w.now / 1000
	}
	attributes, refused := d.Merge(pl.Attributes)
	d.Attributes = attributes
	for _, why := range refused {
		b.failed(w, s, why, person.Identifier{})
	}
	b.note(w.t, s, event.Activity{Type: event.DeviceChange, Name: verb, At: w.now, Received: w.now, Data: object("token", pl.Token, "platform", pl.Platform)})
	b.limitDevices(w.now, s)
}

// takeDevice makes the token the person's, and no longer that of another person.
func (b *batch) takeDevice(w *work, s *subject, token string) error {
	k := person.DeviceKey(w.t.ID, token)
	if holder := b.keys[k]; holder != 0 && holder != s.doc.Ordinal {
		o := b.people[person.Ref{Workspace: w.t.ID, Ordinal: holder}]
		if o != nil && !o.gone && o.device(token) >= 0 {
			b.dropDevice(w.now, o, o.device(token), "the device was added to another person")
			if err := b.settle(o, w.now, touched{devices: true}); err != nil {
				return err
			}
		}
	}
	b.point(k, s)
	return nil
}

// point makes a key find the person, whoever it found before.
func (b *batch) point(k person.Key, s *subject) {
	b.keys[k], b.puts[k] = s.doc.Ordinal, s.doc.Ordinal
	s.dirty = true
}

// dropDevice takes the device with this index from the person.
func (b *batch) dropDevice(now int64, s *subject, i int, why string) {
	d := s.doc.Devices[i]
	s.doc.Devices = slices.Delete(s.doc.Devices, i, i+1)
	b.drop(person.DeviceKey(s.t.ID, d.Token))
	var data value.Builder
	data.Set("token", text(d.Token)).Set("platform", text(d.Platform))
	if why != "" {
		data.Set("reason", text(why))
	}
	b.note(s.t, s, event.Activity{Type: event.DeviceChange, Name: "deleted", At: now, Received: now, Data: data.Value()})
}

// limitDevices drops the devices that were not used for the longest time when there are more than a person may have.
func (b *batch) limitDevices(now int64, s *subject) {
	for len(s.doc.Devices) > person.MaxDevices {
		oldest := 0
		for i := range s.doc.Devices {
			if s.doc.Devices[i].LastUsed < s.doc.Devices[oldest].LastUsed {
				oldest = i
			}
		}
		b.dropDevice(now, s, oldest, "a person has at most 100 devices; this one was not used for the longest time")
	}
}

// device is the index of the device with this token, -1 if the person has none.
func (s *subject) device(token string) int {
	return slices.IndexFunc(s.doc.Devices, func(d person.Device) bool { return d.Token == token })
}
