package track

import (
	"strings"

	"rapport.example/internal/api"
	"rapport.example/internal/fault"
	"rapport.example/internal/ingest"
	"rapport.example/internal/person"
	"rapport.example/internal/value"
	"rapport.example/internal/workspace"
)

func (s *surface) identify(c *api.Call) error {
	by, err := path(c)
	if err != nil {
		return err
	}
	r := s.read(c)
	v, err := r.body(c)
	if err != nil {
		return err
	}
	p := ingest.IdentifyPayload{By: by}
	if err := r.attributes("", v, &p); err != nil {
		return err
	}
	if c.ByAgent() && subscribes(p.Attributes) {
		if err := c.AgentNeeds(workspace.WriteLive); err != nil {
			return err
		}
	}
	return s.done(c, ingest.Identify, encodeIdentify(&p))
}

// subscribes tells whether attributes say what somebody wants to get.
func subscribes(attributes value.Value) bool {
	for name := range attributes.Fields() {
		if name == "unsubscribed" || strings.HasPrefix(name, person.Preferences) {
			return true
		}
	}
	return false
}

// person answers the calls that need nothing but a person: delete, suppress and unsuppress. Clients send no body or {}.
func (s *surface) person(kind ingest.Kind) api.Handler {
	return func(c *api.Call) error {
		by, err := path(c)
		if err != nil {
			return err
		}
		return s.done(c, kind, encodePerson(by))
	}
}

func (s *surface) addDevice(c *api.Call) error {
	by, err := path(c)
	if err != nil {
		return err
	}
	r := s.read(c)
	v, err := r.body(c)
	if err != nil {
		return err
	}
	p, err := r.device(v.Get("device"), "id", true)
	if err != nil {
		return err
	}
	p.By = by
	return s.done(c, ingest.AddDevice, encodeDevice(&p))
}

func (s *surface) deleteDevice(c *api.Call) error {
	by, err := path(c)
	if err != nil {
		return err
	}
	t := c.Param("device_id")
	if err := segment("device_id", t, MaxToken); err != nil {
		return err
	}
	return s.done(c, ingest.DeleteDevice, encodeDevice(&ingest.DevicePayload{By: by, Token: t}))
}

// device reads a device object whose token is in the member key. Members that are not the API's own are attributes.
func (r reader) device(v value.Value, key string, add bool) (ingest.DevicePayload, error) {
	var p ingest.DevicePayload
	if v.Kind() != value.Object {
		return p, fault.Field("device", "must be an object")
	}
	var err error
	if p.Token, err = text("device."+key, v.Get(key), false, MaxToken); err != nil || !add {
		return p, err
	}
	if p.Platform, err = platform(v.Get("platform")); err != nil {
		return p, err
	}
	if p.LastUsed, err = r.timestamp("device.last_used", v.Get("last_used")); err != nil {
		return p, err
	}
	if p.Attributes, err = object("device.attributes", v.Get("attributes")); err != nil {
		return p, err
	}
	if extra := without(v, key, "platform", "last_used", "attributes"); len(extra) > len("{}") {
		p.Attributes = merge(extra, p.Attributes)
	}
	return p, r.deviceAttributes(p.Attributes)
}

// deviceAttributes refuses in strict mode what would be left out with an activity when the device is added.
func (r reader) deviceAttributes(v value.Value) error {
	if !r.strict {
		return nil
	}
	for name, f := range v.Fields() {
		if why := person.CheckDeviceAttribute(name, f); why != "" {
			return fault.New(fault.Invalid, "%s", why)
		}
	}
	return nil
}

func platform(v value.Value) (string, error) {
	s, err := text("device.platform", v, false, person.MaxAttributeValue)
	if err != nil {
		return "", err
	}
	if s = strings.ToLower(s); s != "ios" && s != "android" {
		return "", fault.Field("device.platform", "must be ios or android")
	}
	return s, nil
}

// merge returns the members of both objects; those of over win.
func merge(under, over value.Value) value.Value {
	var b value.Builder
	for name, f := range under.Fields() {
		if over.Get(name) == nil {
			b.Set(name, f)
		}
	}
	for name, f := range over.Fields() {
		b.Set(name, f)
	}
	return b.Value()
}
