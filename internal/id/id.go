// Package id makes the identifiers that the program hands out: time-sorted ones for requests and frames, and opaque
// ones that a replay of the log makes again.
package id

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// New returns a ULID for the time now: 26 characters, sorted by time, unique without coordination.
func New(now time.Time) string {
	return ulid.MustNew(ulid.Timestamp(now), rand.Reader).String()
}

var lower32 = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// CIO returns the canonical id of the person with this ordinal: 16 lower-case characters and digits. The same secret,
// workspace and ordinal give the same id, so a replay of the log assigns it again.
func CIO(secret []byte, workspace int64, ordinal uint32) string {
	return lower32.EncodeToString(sum(secret, workspace, "cio:"+strconv.FormatUint(uint64(ordinal), 10))[:10])
}

// Object returns the canonical id of the object with this number, as CIO does for people.
func Object(secret []byte, workspace, number int64) string {
	return lower32.EncodeToString(sum(secret, workspace, "object:"+strconv.FormatInt(number, 10))[:10])
}

// Delivery returns the public id of a delivery: 20 URL-safe base64 characters, made as CIO is from a key that is unique
// within the workspace: "op:" and the id of the op that asked for it, or "j:" and its journey, action and visit.
func Delivery(secret []byte, workspace int64, key string) string {
	return base64.RawURLEncoding.EncodeToString(sum(secret, workspace, "delivery:"+key)[:15])
}

// Secret returns n random bytes as lower-case base32 text, for generated credentials.
func Secret(n int) string {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		// crypto/rand.Read never fails on the systems that Go supports; a silent weak secret would be worse than a stop.
		panic("id: no randomness: " + err.Error())
	}
	return strings.ToLower(lower32.EncodeToString(b))
}

func sum(secret []byte, workspace int64, key string) []byte {
	h := hmac.New(sha256.New, secret)
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(workspace))
	h.Write(b[:])
	h.Write([]byte(key))
	return h.Sum(nil)
}
