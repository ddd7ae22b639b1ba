package ingest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/oklog/ulid/v2"
)

// Errors of DecodeFrame.
var (
	// ErrCorrupt says that a frame is damaged: its bytes are not those that were written.
	ErrCorrupt = errors.New("frame is corrupt")
	// ErrNewer says that a newer program wrote the frame; this one must stop instead of guessing.
	ErrNewer = errors.New("frame was written by a newer version")
)

// The frame header: magic, version, three reserved bytes, number of ops, length and CRC-32C of the body, frame id.
const (
	frameMagic   = "RPTF"
	frameVersion = 1
	headerSize   = 4 + 1 + 3 + 4 + 4 + 4 + 16
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// EncodeFrame appends the frame to dst in the form of docs/formats.md. Partition and Seq are not part of it: they are
// where the frame lies.
func EncodeFrame(dst []byte, f *Frame) ([]byte, error) {
	id, err := ulid.ParseStrict(f.ID)
	if err != nil {
		return nil, fmt.Errorf("frame id %q: %w", f.ID, err)
	}
	start := len(dst)
	dst = append(dst, frameMagic...)
	dst = append(dst, frameVersion, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(f.Ops)))
	dst = append(dst, make([]byte, 8)...)
	dst = append(dst, id[:]...)
	for i := range f.Ops {
		if dst, err = appendOp(dst, &f.Ops[i]); err != nil {
			return nil, err
		}
	}
	body := dst[start+headerSize:]
	binary.BigEndian.PutUint32(dst[start+12:], uint32(len(body)))
	binary.BigEndian.PutUint32(dst[start+16:], checksum(dst[start:start+12], id[:], body))
	return dst, nil
}

// checksum covers everything but itself and the length, which the other two imply.
func checksum(head, id, body []byte) uint32 {
	c := crc32.Update(0, castagnoli, head)
	c = crc32.Update(c, castagnoli, id)
	return crc32.Update(c, castagnoli, body)
}

func appendOp(dst []byte, op *Op) ([]byte, error) {
	id, err := ulid.ParseStrict(op.ID)
	if err != nil {
		return nil, fmt.Errorf("op id %q: %w", op.ID, err)
	}
	size := opSize(op)
	dst = binary.AppendUvarint(dst, uint64(size))
	dst = append(dst, op.Version)
	dst = binary.AppendUvarint(dst, uint64(op.Workspace))
	dst = binary.AppendUvarint(dst, uint64(op.Received))
	dst = append(dst, id[:]...)
	dst = append(dst, byte(op.Surface), byte(op.Kind))
	dst = binary.AppendUvarint(dst, uint64(op.Credential))
	dst = binary.AppendUvarint(dst, op.PersonID)
	dst = binary.AppendUvarint(dst, uint64(len(op.Request)))
	dst = append(dst, op.Request...)
	if op.Version >= KeyedVersion {
		var once Once
		if op.Once != nil {
			once = *op.Once
		}
		dst = append(append(append(dst, once.Hash[:]...), once.Print[:]...), once.Nonce[:]...)
	}
	return append(dst, op.Payload...), nil
}

func opSize(op *Op) int {
	keyed := 0
	if op.Version >= KeyedVersion {
		keyed = onceSize
	}
	return keyed + 1 + uvarintLen(uint64(op.Workspace)) + uvarintLen(uint64(op.Received)) + 16 + 2 + uvarintLen(uint64(op.Credential)) +
		uvarintLen(op.PersonID) + uvarintLen(uint64(len(op.Request))) + len(op.Request) + len(op.Payload)
}

const onceSize = len(Once{}.Hash) + len(Once{}.Print) + len(Once{}.Nonce)

func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

// EncodedSize is about how many bytes of a frame the op takes.
func EncodedSize(op *Op) int { return opSize(op) + 4 }

// DecodeFrame reads what EncodeFrame wrote. The ops' payloads alias data. It fails with ErrCorrupt or ErrNewer.
func DecodeFrame(data []byte) (Frame, error) {
	var f Frame
	if len(data) < headerSize || string(data[:4]) != frameMagic {
		return f, fmt.Errorf("%w: no frame header", ErrCorrupt)
	}
	if data[4] > frameVersion {
		return f, fmt.Errorf("%w: frame version %d", ErrNewer, data[4])
	}
	n, size := binary.BigEndian.Uint32(data[8:]), binary.BigEndian.Uint32(data[12:])
	id, body := data[20:headerSize], data[headerSize:]
	if int(size) != len(body) || checksum(data[:12], id, body) != binary.BigEndian.Uint32(data[16:]) {
		return f, fmt.Errorf("%w: length or checksum differ", ErrCorrupt)
	}
	f.ID = ulid.ULID(id).String()
	if int(n) > len(body) {
		return f, fmt.Errorf("%w: %d ops in %d bytes", ErrCorrupt, n, len(body))
	}
	f.Ops = make([]Op, n)
	for i := range f.Ops {
		length, k := binary.Uvarint(body)
		if k <= 0 || length > uint64(len(body)-k) {
			return Frame{}, fmt.Errorf("%w: op %d is cut off", ErrCorrupt, i)
		}
		if err := readOp(&f.Ops[i], body[k:k+int(length)]); err != nil {
			return Frame{}, fmt.Errorf("op %d: %w", i, err)
		}
		body = body[k+int(length):]
	}
	if len(body) != 0 {
		return Frame{}, fmt.Errorf("%w: bytes behind the last op", ErrCorrupt)
	}
	return f, nil
}

func readOp(op *Op, b []byte) error {
	if len(b) == 0 {
		return ErrCorrupt
	}
	if op.Version = b[0]; op.Version > KeyedVersion {
		return fmt.Errorf("%w: op version %d", ErrNewer, op.Version)
	}
	r := reader{b: b[1:]}
	op.Workspace = int64(r.uvarint())
	op.Received = int64(r.uvarint())
	if id := r.bytes(16); id != nil {
		op.ID = ulid.ULID(id).String()
	}
	if two := r.bytes(2); two != nil {
		op.Surface, op.Kind = Surface(two[0]), Kind(two[1])
	}
	op.Credential = int64(r.uvarint())
	op.PersonID = r.uvarint()
	op.Request = string(r.bytes(int(min(r.uvarint(), uint64(len(b))))))
	if op.Version >= KeyedVersion {
		op.Once = r.once()
	}
	if r.bad {
		return ErrCorrupt
	}
	op.Payload = r.b[:len(r.b):len(r.b)]
	return nil
}

func (r *reader) once() *Once {
	b := r.bytes(onceSize)
	if b == nil {
		return nil
	}
	return &Once{Hash: [16]byte(b[:16]), Print: [16]byte(b[16:32]), Nonce: [8]byte(b[32:])}
}

// reader takes pieces off b and remembers if one was missing.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.b) {
		r.bad = true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}
