package bench

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"rapport.example/internal/ingest"
	"rapport.example/internal/value"
)

// subjectWord marks the mails whose subject holds the moment of their event.
const subjectWord = "bench"

// mailEvent makes the server send a mail; the other events do not, so that each is exactly one activity.
const mailEvent = "bench_mail"

// traffic makes people and what they do. The same number always makes the same.
type traffic struct {
	people int64
	offset int64 // of event numbers: rounds go on where the last one ended
}

// mix spreads a number over 64 bits (splitmix64), so that neighbours have nothing to do with each other.
func mix(n int64) uint64 {
	z := uint64(n)*0x9e3779b97f4a7c15 + 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

var (
	plans     = []string{"free", "free", "free", "pro", "team"}
	countries = strings.Fields("DE FR ES IT PL SE NO DK NL GB")
	names     = []string{"viewed", "viewed", "viewed", "viewed", "searched", "searched", "logged_in", "purchase", "cart_abandoned", "signed_up"}
)

func pick[T any](list []T, r uint64) T { return list[r%uint64(len(list))] }

// attributes are those of a person.
func (t *traffic) attributes(dst []byte, n int64) []byte {
	r := mix(n)
	return fmt.Appendf(dst, `{"email":"p%d@bench.example","first_name":"Person %d","plan":%q,"country":%q,"score":%d,"company":"Company %d","locale":"en","newsletter":%t}`,
		n, n, pick(plans, r), pick(countries, r>>8), r>>16%100, r>>24%5000, r>>40%2 == 0)
}

// who does event n.
func (t *traffic) who(n int64) int64 { return int64(mix(n+t.offset) % uint64(t.people)) }

// event is the name and data of event n.
func (t *traffic) event(n int64) (name string, data func(dst []byte) []byte) {
	r := mix(-n - t.offset)
	return pick(names, r), func(dst []byte) []byte {
		dst = append(dst, `{"amount":`...)
		dst = strconv.AppendUint(dst, r>>8%100, 10)
		dst = append(dst, `,"product":"sku-`...)
		dst = strconv.AppendUint(dst, r>>16%1000, 10)
		return append(dst, `","source":"web","currency":"EUR","new":true}`...)
	}
}

// id appends the ULID of event n as a caller makes it: of this moment, and like no other.
func (t *traffic) id(dst []byte, n int64) []byte {
	var id ulid.ULID
	_ = id.SetTime(ulid.Timestamp(time.Now())) //nolint:errcheck // it fails after the year 10889
	binary.BigEndian.PutUint64(id[8:], uint64(n+t.offset))
	dst = append(dst, make([]byte, ulid.EncodedSize)...)
	_ = id.MarshalTextTo(dst[len(dst)-ulid.EncodedSize:]) //nolint:errcheck // it fails if there is no room
	return dst
}

// body is that of POST /api/v1/customers/{id}/events.
func (t *traffic) body(dst []byte, n int64) []byte {
	name, data := t.event(n)
	dst = append(dst, `{"name":"`...)
	dst = append(dst, name...)
	dst = t.id(append(dst, `","id":"`...), n)
	dst = append(dst, `","data":`...)
	return append(data(dst), '}')
}

// operation is event n as an operation of a batch.
func (t *traffic) operation(dst []byte, n int64) []byte {
	name, data := t.event(n)
	dst = append(dst, `{"type":"person","action":"event","identifiers":{"id":"u`...)
	dst = strconv.AppendInt(dst, t.who(n), 10)
	dst = append(dst, `"},"name":"`...)
	dst = append(dst, name...)
	dst = t.id(append(dst, `","id":"`...), n)
	dst = append(dst, `","attributes":`...)
	return append(data(dst), '}')
}

// op is event n as the engine gets it.
func (t *traffic) op(n int64, at time.Time, opID string) (ingest.Op, error) {
	name, data := t.event(n)
	by := ingest.By{ID: "u" + strconv.FormatInt(t.who(n), 10)}
	payload, err := ingest.Encode(ingest.EventPayload{By: by, Type: 1, Name: name, ID: string(t.id(nil, n)), Data: value.Value(data(nil))})
	return ingest.Op{Version: ingest.OpVersion, Workspace: 1, Received: at.UnixMilli(), ID: opID, Surface: ingest.FromTrack, Kind: ingest.Event, Payload: payload}, err
}

// identify is person n as the engine gets them.
func (t *traffic) identify(n int64, at time.Time, opID string) (ingest.Op, error) {
	by := ingest.By{ID: "u" + strconv.FormatInt(n, 10)}
	payload, err := ingest.Encode(ingest.IdentifyPayload{By: by, Attributes: value.Value(t.attributes(nil, n))})
	return ingest.Op{Version: ingest.OpVersion, Workspace: 1, Received: at.UnixMilli(), ID: opID, Surface: ingest.FromTrack, Kind: ingest.Identify, Payload: payload}, err
}

// batch joins count elements, from number first on, to the body of POST /api/v2/batch.
func batchBody(dst []byte, first, count int64, one func([]byte, int64) []byte) []byte {
	dst = append(dst, `{"batch":[`...)
	for n := first; n < first+count; n++ {
		if n > first {
			dst = append(dst, ',')
		}
		dst = one(dst, n)
	}
	return append(dst, "]}"...)
}

// poster writes requests.
type poster struct{ head string } // all but method, path and length

func newPoster(addr, basic string) poster {
	return authorized(addr, "Basic "+base64.StdEncoding.EncodeToString([]byte(basic)))
}

// newBearer is a poster for an API whose key is a bearer's.
func newBearer(addr, key string) poster { return authorized(addr, "Bearer "+key) }

func authorized(addr, as string) poster {
	return poster{" HTTP/1.1\r\nHost: " + addr + "\r\nAuthorization: " + as + "\r\nContent-Type: application/json\r\nContent-Length: "}
}

func (p *poster) post(dst []byte, path, write func([]byte) []byte) []byte {
	return p.send(dst, "POST", path, write)
}

// send writes a request with the body that write appends. The length is filled in behind, in a field of fixed width.
func (p *poster) send(dst []byte, method string, path, write func([]byte) []byte) []byte {
	dst = append(dst, method...)
	dst = append(dst, ' ')
	dst = path(dst)
	dst = append(dst, p.head...)
	const blank = "0000000"
	at := len(dst)
	dst = append(dst, blank+"\r\n\r\n"...)
	body := len(dst)
	dst = write(dst)
	digits := strconv.Itoa(len(dst) - body)
	copy(dst[at+len(blank)-len(digits):], digits)
	return dst
}

func literal(s string) func([]byte) []byte {
	return func(dst []byte) []byte { return append(dst, s...) }
}
