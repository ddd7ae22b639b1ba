package export

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"rapport.example/internal/fault"
	"rapport.example/internal/job"
)

// Path leads to the files. Behind it come a token and the file's name.
const Path = "/exports/"

// Signer makes and reads the links to files. Whoever has a link has the file until the link's time is over. It is safe for
// concurrent use.
type Signer struct {
	key  []byte
	base string
}

// NewSigner takes the installation's secret and the URL under which the server is reached.
func NewSigner(secret []byte, baseURL string) *Signer {
	h := hmac.New(sha256.New, secret) // a key of its own: what is signed here means nothing elsewhere
	h.Write([]byte("rapport export links"))
	return &Signer{key: h.Sum(nil), base: strings.TrimRight(baseURL, "/")}
}

// Link is the address of a job's file, good until now + LinkFor.
func (s *Signer) Link(j *job.Job, name string, now time.Time) string {
	b := make([]byte, macSize, macSize+1+4*binary.MaxVarintLen64)
	b = append(b, version)
	for _, n := range [...]int64{j.Workspace, j.ID, j.Created, now.Add(LinkFor).Unix()} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	copy(b, s.mac(b[macSize:]))
	return s.base + Path + base64.RawURLEncoding.EncodeToString(b) + "/" + name
}

const (
	version  = 1
	macSize  = 16 // bytes of HMAC-SHA256 that are kept: 128 bits
	maxToken = (macSize+1+4*binary.MaxVarintLen64)*4/3 + 4
)

func (s *Signer) mac(b []byte) []byte {
	h := hmac.New(sha256.New, s.key)
	h.Write(b)
	return h.Sum(nil)[:macSize]
}

// ticket is what a token says.
type ticket struct {
	job.Key
	created int64 // of the job, ms: a number that was given again behind a restore is another job
	until   time.Time
}

// parse reads a token. One that this Signer did not make is of kind Forbidden.
func (s *Signer) parse(token string) (t ticket, err error) {
	changed := fault.New(fault.Forbidden, "the link is incomplete or was changed")
	if len(token) > maxToken {
		return t, changed
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) <= macSize || !hmac.Equal(b[:macSize], s.mac(b[macSize:])) || b[macSize] != version {
		return t, changed
	}
	b = b[macSize+1:]
	var n [4]int64
	for i := range n {
		v, size := binary.Uvarint(b)
		if size <= 0 {
			return t, changed
		}
		n[i], b = int64(v), b[size:]
	}
	t.Key = job.Key{Workspace: n[0], Kind: Kind, ID: n[1]}
	t.created, t.until = n[2], time.Unix(n[3], 0)
	return t, nil
}

// Name is a file's name, such as customers-12.csv.
func Name(id int64, s *Spec) string { return fmt.Sprintf("%s-%d.%s", s.Type, id, s.Format) }
