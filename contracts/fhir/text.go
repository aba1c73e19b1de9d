package fhir

import (
	"encoding/binary"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

func itoa(i int) string { return strconv.Itoa(i) }

// escapeSize is the length of the JSON escape that b begins with, 0 for a broken one.
func escapeSize(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(b) >= 6 && hex4(view(b[2:6])) >= 0 {
			return 6
		}
	}
	return 0
}

func hex4(s string) rune {
	var r rune
	for i := range 4 {
		c := s[i]
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// surrogates notes each \u escape in a string that is half of a pair: such text has no Unicode value.
func (p *parser) surrogates(n Node) {
	s := n.t.literal(n.rec())
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			continue
		}
		i++
		if s[i] != 'u' {
			continue
		}
		r := hex4(s[i+1:])
		i += 4
		if !utf16.IsSurrogate(r) {
			continue
		}
		if rest := s[i+1:]; len(rest) >= 6 && rest[0] == '\\' && rest[1] == 'u' && utf16.DecodeRune(r, hex4(rest[2:])) != utf8.RuneError {
			i += 6
			continue
		}
		p.fail(CodeSurrogate, n, int(n.rec().a)+i-5, "Half of a surrogate pair; the text has no Unicode value.")
	}
}

// unescape appends to dst what the JSON string literal s, without quotes, means. Its escapes are known to be whole;
// half a surrogate pair, which only a member name can still hold, becomes U+FFFD.
func unescape(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '\\' {
			dst = append(dst, c)
			continue
		}
		i++
		switch c = s[i]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r := hex4(s[i+1:])
			i += 4
			if rest := s[i+1:]; utf16.IsSurrogate(r) && len(rest) >= 6 && rest[0] == '\\' && rest[1] == 'u' {
				if pair := utf16.DecodeRune(r, hex4(rest[2:])); pair != utf8.RuneError {
					r = pair
					i += 6
				}
			}
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// means says whether a JSON string literal with escapes, without quotes, is text. It allocates for long texts only.
func means(literal, text string) bool {
	if len(literal) < len(text) || len(literal) > 6*len(text) { // \u0061 for a
		return false
	}
	var buf [128]byte
	return string(unescape(buf[:0], literal)) == text
}

// appendEscaped appends text as the inside of a JSON string, with the fewest escapes.
func appendEscaped(dst []byte, text string) []byte {
	for {
		plain := plainPrefix(text)
		dst = append(dst, text[:plain]...)
		if plain == len(text) {
			return dst
		}
		switch c := text[plain]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			const digits = "0123456789abcdef"
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
		text = text[plain+1:]
	}
}

// plainPrefix is how much of text needs no escape.
func plainPrefix(text string) int {
	b := unsafe.Slice(unsafe.StringData(text), len(text))
	i := 0
	for ; i+8 <= len(b); i += 8 {
		if found := special(binary.LittleEndian.Uint64(b[i:])); found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	if len(b) >= 8 && special(binary.LittleEndian.Uint64(b[len(b)-8:])) == 0 {
		return len(b) // the last eight bytes, some of them for the second time
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < 0x20 || c == '"' || c == '\\' {
			return i
		}
	}
	return i
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special marks, by the high bit of their byte, a quote, a backslash or a control character among the eight bytes of x.
// Bytes above the lowest mark may be marked falsely, by a borrow.
func special(x uint64) uint64 {
	quote, slash := x^(ones*'"'), x^(ones*'\\')
	return ((quote-ones)&^quote | (slash-ones)&^slash | (x-ones*0x20)&^x) & highs
}
