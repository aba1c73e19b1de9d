package hl7v2

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// Patterns for looking at eight bytes at a time, the way of "SIMD within a register".
const (
	ones = 0x0101010101010101
	high = 0x8080808080808080
	low  = 0x7f7f7f7f7f7f7f7f
)

// header holds where the fields of MSH end: they are read by everybody, and more than once.
type header struct {
	ends [26]int32 // of "MSH", MSH-2, MSH-3 … MSH-25, and what stands behind
	n    int
}

// read takes the segment apart at sep.
func (h *header) read(msh []byte, sep byte) {
	h.n = 0
	for i, c := range msh {
		if c == sep && h.n < len(h.ends)-1 {
			h.ends[h.n] = int32(i)
			h.n++
		}
	}
	h.ends[h.n] = int32(len(msh))
	h.n++
}

// part gives MSH's part n, from 0, in the message's bytes; nil if there are fewer.
func (h *header) part(b []byte, n int) []byte {
	if n < 1 || n >= h.n {
		return nil
	}
	from, to := h.ends[n-1]+1, h.ends[n]
	return b[from:to:to]
}

// near and short say how far into a segment a field is looked for without an index over all fields: the first few of a
// short segment are found faster than that index is made. Both bound the work of reading all fields of a segment.
const (
	near  = 12
	short = 4 << 10
)

// fieldIndex holds where each field ends.
type fieldIndex struct {
	ends  []int32 // of all segments in a row: "PID", PID-1, PID-2 …
	first []int32 // by segment, and once more at the end: where its ends begin
}

// index gives the index of fields, and makes it if nobody has before.
func (m *Message) index() *fieldIndex {
	if x := m.fields.Load(); x != nil {
		return x
	}
	m.fields.CompareAndSwap(nil, m.indexFields())
	return m.fields.Load()
}

// indexFields finds where each field ends, in one pass over the whole message.
//
// It makes a mask of 64 bytes at a time, in which each separator has a bit, and writes the places of the bits in runs
// of four, of which those that are too many are written over: branches on how many there are would cost more than the
// rest. The ends of segments come in between, as the end of the last field of each.
func (m *Message) indexFields() *fieldIndex {
	const spare = 4 // for the runs' ends
	ends := make([]int32, bytes.Count(m.b, []byte{m.delims.Field})+len(m.segs)+spare)
	first := make([]int32, len(m.segs)+1)
	pattern := uint64(m.delims.Field) * ones
	n, seg := 0, 0
	for base := 0; base < len(m.b); base += 64 {
		block := m.b[base:]
		var last [64]byte
		if len(block) < 64 {
			copy(last[:], block)
			block = last[:]
		}
		block = block[:64]
		var mask uint64
		for i := 0; i < 64; i += 8 {
			x := binary.LittleEndian.Uint64(block[i:]) ^ pattern
			mask |= gather(^((x&low+low)|x)&high) << i
		}
		for ; seg < len(m.segs) && int(m.segs[seg].end) < base+64; seg++ {
			upTo := uint64(1)<<(int(m.segs[seg].end)-base) - 1
			n = places(ends, n, mask&upTo, int32(base))
			mask &^= upTo
			ends[n] = m.segs[seg].end
			n++
			first[seg+1] = int32(n)
		}
		n = places(ends, n, mask, int32(base))
	}
	for ; seg < len(m.segs); seg++ { // one that ends with the message, at a block's end
		ends[n] = m.segs[seg].end
		n++
		first[seg+1] = int32(n)
	}
	return &fieldIndex{ends[:n:n], first}
}

// of gives the ends of a segment's fields.
func (x *fieldIndex) of(segment int) []int32 { return x.ends[x.first[segment]:x.first[segment+1]] }

// gather puts the high bits of eight bytes side by side.
func gather(hits uint64) uint64 { return (hits >> 7) * 0x0102040810204080 >> 56 }

// places writes the places of the bits of mask to dst[n:], and gives n moved on.
func places(dst []int32, n int, mask uint64, base int32) int {
	count := bits.OnesCount64(mask)
	for at := n; mask != 0; at += 4 {
		to := dst[at : at+4 : at+4]
		to[0] = base + int32(bits.TrailingZeros64(mask))
		mask &= mask - 1
		to[1] = base + int32(bits.TrailingZeros64(mask))
		mask &= mask - 1
		to[2] = base + int32(bits.TrailingZeros64(mask))
		mask &= mask - 1
		to[3] = base + int32(bits.TrailingZeros64(mask))
		mask &= mask - 1
	}
	return n + count
}

// firstHigh gives the index of the first byte above ASCII, or -1.
func firstHigh(b []byte) int {
	i := 0
	for ; i+32 <= len(b); i += 32 {
		w := b[i : i+32]
		if (binary.LittleEndian.Uint64(w)|binary.LittleEndian.Uint64(w[8:])|
			binary.LittleEndian.Uint64(w[16:])|binary.LittleEndian.Uint64(w[24:]))&high != 0 {
			break
		}
	}
	for ; i+8 <= len(b); i += 8 {
		if hits := binary.LittleEndian.Uint64(b[i:]) & high; hits != 0 {
			return i + bits.TrailingZeros64(hits)>>3
		}
	}
	for ; i < len(b); i++ {
		if b[i] >= utf8.RuneSelf {
			return i
		}
	}
	return -1
}

// invalidUTF8 gives the index of the first byte of b that begins no UTF-8 character, or -1. Texts are ASCII with a few
// letters of two bytes here and there, so it goes back to long steps behind each.
func invalidUTF8(b []byte) int {
	for i := 0; ; {
		n := firstHigh(b[i:])
		if n < 0 {
			return -1
		}
		for i += n; i < len(b) && b[i] >= utf8.RuneSelf; {
			if c := b[i]; c >= 0xc2 && c <= 0xdf && i+1 < len(b) && b[i+1]&0xc0 == 0x80 {
				i += 2
				continue
			}
			r, size := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && size < 2 {
				return i
			}
			i += size
		}
	}
}
