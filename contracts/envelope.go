package contracts

import (
	"encoding/binary"

	"github.com/klauspost/compress/zstd"
)

// Stored bytes begin with a format byte and a key id, so that a later form (encryption at rest) can stand beside
// this one in the same file:
//
//	byte 0     format: 1 = plain, 2 = zstd
//	bytes 1-4  key id, big endian; 0 = not encrypted
//	bytes 5-   the bytes
const (
	formatPlain byte = 1
	formatZstd  byte = 2
	envelope         = 5
)

// worthPacking is the size in bytes from which compression pays for its header.
const worthPacking = 512

var (
	packer, _   = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	unpacker, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30))
)

// Pack gives the stored form of b, uncompressed: what the bus writes. The result is a copy.
func Pack(b Body) []byte {
	out := make([]byte, envelope, envelope+b.Len())
	out[0] = formatPlain
	return append(out, b.Bytes()...)
}

// PackSmall gives the stored form of b, compressed where that makes it smaller: what the body store keeps.
func PackSmall(b Body) []byte {
	if b.Len() < worthPacking {
		return Pack(b)
	}
	out := make([]byte, envelope, envelope+b.Len()/2)
	out[0] = formatZstd
	out = packer.EncodeAll(b.Bytes(), out)
	if len(out) >= envelope+b.Len() {
		return Pack(b)
	}
	return out
}

// Unpack reads stored bytes. For the plain form the Body shares stored's memory. Unknown formats and keys are
// internal faults.
func Unpack(stored []byte) (Body, error) {
	if len(stored) < envelope {
		return Body{}, &Fault{Kind: Internal, Code: "BODY-001", Public: "A stored body is shorter than its own header."}
	}
	if binary.BigEndian.Uint32(stored[1:envelope]) != 0 {
		return Body{}, &Fault{Kind: Internal, Code: "BODY-002", Public: "A stored body names an encryption key that this version doesn't know."}
	}
	switch stored[0] {
	case formatPlain:
		return NewBody(stored[envelope:]), nil
	case formatZstd:
		b, err := unpacker.DecodeAll(stored[envelope:], nil)
		if err != nil {
			return Body{}, &Fault{Kind: Internal, Code: "BODY-003", Public: "A stored body can't be unpacked; the file is damaged.", Err: err}
		}
		return NewBody(b), nil
	}
	return Body{}, &Fault{Kind: Internal, Code: "BODY-004", Public: "A stored body is of a form that this version doesn't know."}
}
