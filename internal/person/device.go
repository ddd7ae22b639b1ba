package person

import (
	"fmt"
	"slices"

	"rapport.example/internal/value"
)

// DeviceStatus is the attribute that holds what became of the last push to a device.
const DeviceStatus = "_last_status"

// deviceStates are the values of DeviceStatus; "" says that nothing is known.
var deviceStates = []string{"sent", "bounced", "suppressed"}

// Attribute is what conditions know of the device: platform, last_used (Unix seconds), status, which is DeviceStatus, and attributes by
// name, with or without a leading device_; nil if there is no such thing. The token is not among them.
func (d *Device) Attribute(name string) value.Value {
	switch name {
	case "platform":
		return text(d.Platform)
	case "last_used":
		return value.Int(d.LastUsed)
	case "status":
		return d.Attributes.Get(DeviceStatus)
	}
	if v := d.Attributes.Get(name); v != nil {
		return v
	}
	return d.Attributes.Get("device_" + name)
}

// Merge returns the device's attributes with others over them, and for each that cannot be taken why, as a sentence. null
// and "" remove an attribute. Numbers and booleans become text, as device attributes are text (track-api §4); lists and
// objects are kept as they are. The order is that in which names came first. The device is not changed.
func (d *Device) Merge(over value.Value) (merged value.Value, refused []string) {
	type member struct {
		name string
		v    value.Value
	}
	var all []member
	for name, v := range d.Attributes.Fields() {
		all = append(all, member{name, v})
	}
	for name, v := range over.Fields() {
		if why := CheckDeviceAttribute(name, v); why != "" {
			refused = append(refused, why)
			continue
		}
		i := slices.IndexFunc(all, func(m member) bool { return m.name == name })
		switch {
		case v.Empty() && i >= 0:
			all = slices.Delete(all, i, i+1)
		case v.Empty():
		case i >= 0:
			all[i].v = deviceText(v)
		case len(all) >= MaxAttributes:
			refused = append(refused, fmt.Sprintf("a device has at most %d attributes; one was left out", MaxAttributes))
		default:
			all = append(all, member{name, deviceText(v)})
		}
	}
	if len(all) == 0 {
		return nil, refused
	}
	var b value.Builder
	for _, m := range all {
		b.Set(m.name, m.v)
	}
	return b.Value(), refused
}

func deviceText(v value.Value) value.Value {
	if k := v.Kind(); k == value.Object || k == value.Array {
		return v
	}
	return value.Quote(v.Text())
}

// CheckDeviceAttribute says as a sentence why a device cannot have this attribute, "" if it can.
func CheckDeviceAttribute(name string, v value.Value) string {
	switch {
	case name == "" || len(name) > MaxAttributeName:
		return fmt.Sprintf("device attribute names are 1 to %d bytes", MaxAttributeName)
	case len(v.Text()) > MaxAttributeValue:
		return fmt.Sprintf("device attribute %s is longer than %d bytes", name, MaxAttributeValue)
	case name == DeviceStatus && !v.Empty() && !slices.Contains(deviceStates, v.Text()):
		return "device attribute " + DeviceStatus + " is sent, bounced, suppressed or empty"
	case name == "push_enabled" && !v.Empty() && v.Text() != "true" && v.Text() != "false":
		return "device attribute push_enabled is true or false"
	}
	return ""
}
