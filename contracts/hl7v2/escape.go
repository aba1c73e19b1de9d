package hl7v2

import (
	"bytes"
	"unicode/utf8"
)

// appendUnescaped appends raw's text with its character escapes decoded, in one pass from the left. Formatting
// escapes (\.br\, \H\), unknown ones and an escape character that starts none stay as they stand, so a lone
// backslash in a text survives.
func (m *Message) appendUnescaped(dst, raw []byte) []byte {
	esc := m.delims.Escape
	for {
		i := len(upTo(raw, esc))
		if i == len(raw) {
			return m.charset.appendDecoded(dst, raw)
		}
		dst = m.charset.appendDecoded(dst, raw[:i])
		raw = raw[i:]
		end := bytes.IndexByte(raw[1:], esc)
		if end < 0 {
			return m.charset.appendDecoded(dst, raw)
		}
		body := raw[1 : end+1]
		if out, ok := m.appendEscape(dst, body); ok {
			dst, raw = out, raw[end+2:]
			continue
		}
		if isFormatting(body) {
			dst = m.charset.appendDecoded(dst, raw[:end+2])
			raw = raw[end+2:]
			continue
		}
		// Not a known escape: the next escape character may well start a real one, as in C:\temp\F\x.
		dst = m.charset.appendDecoded(dst, raw[:end+1])
		raw = raw[end+1:]
	}
}

// appendEscape appends what the character escape with this body means; ok is false if it is no character escape.
func (m *Message) appendEscape(dst, body []byte) (_ []byte, ok bool) {
	if len(body) == 1 {
		c, ok := m.delims.meaning(body[0])
		if !ok {
			return dst, false
		}
		return append(dst, c), true
	}
	if len(body) > 2 && len(body)%2 == 1 && body[0] == 'X' {
		return m.appendHex(dst, body[1:])
	}
	return dst, false
}

// meaning gives the delimiter that the letter of an escape stands for.
func (d *Delimiters) meaning(letter byte) (byte, bool) {
	var c byte
	switch letter {
	case 'F':
		c = d.Field
	case 'S':
		c = d.Component
	case 'T':
		c = d.Subcomponent
	case 'R':
		c = d.Repetition
	case 'E':
		c = d.Escape
	case 'P':
		c = d.Truncation
		if c == 0 {
			c = '#'
		}
	}
	return c, c != 0
}

// appendHex appends the characters whose bytes, in the message's character set, digits give. Bytes that are no
// character there make the escape an unknown one: it stays as it stands.
func (m *Message) appendHex(dst, digits []byte) (_ []byte, ok bool) {
	var small [64]byte
	raw := small[:0]
	if n := len(digits) / 2; n > len(small) {
		raw = make([]byte, 0, n)
	}
	for i := 0; i+1 < len(digits); i += 2 {
		hi, lo := unhex(digits[i]), unhex(digits[i+1])
		if hi < 0 || lo < 0 {
			return dst, false
		}
		raw = append(raw, byte(hi<<4|lo))
	}
	if m.charset.invalidAt(raw) >= 0 {
		return dst, false
	}
	return m.charset.appendDecoded(dst, raw), true
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

// isFormatting says whether body is a well-formed escape that stays as it stands: \H\, \N\, \.xx\, \Cxx..\, \Mxx..\,
// \Z..\. The two escape characters around it then belong together.
func isFormatting(body []byte) bool {
	if len(body) == 0 || len(body) > 64 {
		return false
	}
	switch body[0] {
	case 'H', 'N':
		return len(body) == 1
	case '.', 'Z':
		return plainWord(body[1:])
	case 'C', 'M':
		return (len(body) == 5 || len(body) == 7) && hexDigits(body[1:])
	}
	return false
}

func plainWord(b []byte) bool {
	for _, c := range b {
		if !isAlphanumeric(c) && c != '+' && c != '-' {
			return false
		}
	}
	return len(b) > 0
}

func hexDigits(b []byte) bool {
	for _, c := range b {
		if unhex(c) < 0 {
			return false
		}
	}
	return true
}

// encoder writes text as ER7 leaves.
type encoder struct {
	delims  Delimiters
	charset *Charset
	hex     bool // write a character that charset lacks as \X..\ in UTF-8 instead of failing
	escaped bool // it did so
}

// appendText appends text so that reading it gives text again: delimiters, CR and LF become escapes, and so does an
// escape character, unless it belongs to a formatting escape (\.br\, \H\), which is meant as such. ok is false if
// the character set lacks a character.
func (e *encoder) appendText(dst []byte, text string) (_ []byte, ok bool) {
	if text == null {
		// Bare, it would be read as the null.
		return e.appendHexEscape(dst, text), true
	}
	for i := 0; i < len(text); {
		if n := e.plainPrefix(text[i:]); n > 0 {
			dst = append(dst, text[i:i+n]...)
			i += n
			continue
		}
		c := text[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(text[i:])
			if r == utf8.RuneError && n < 2 {
				return dst, false
			}
			if dst, ok = e.charset.appendRune(dst, r); !ok {
				if !e.hex {
					return dst, false
				}
				dst = e.appendHexEscape(dst, text[i:i+n])
				e.escaped = true
			}
			i += n
			continue
		}
		if c == e.delims.Escape {
			if n := e.formatting(text[i:]); n > 0 {
				dst = append(dst, text[i:i+n]...)
				i += n
				continue
			}
		}
		if c != 0 && c == e.delims.Truncation && i+1 < len(text) {
			// It means something only as the last character, and readers that don't know \P\ spoil the text.
			dst = append(dst, c)
		} else {
			dst = e.appendByte(dst, c)
		}
		i++
	}
	return dst, true
}

// plainPrefix is how much of text is ASCII that needs no escape.
func (e *encoder) plainPrefix(text string) int {
	d := &e.delims
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ', c >= utf8.RuneSelf, c == d.Field, c == d.Component, c == d.Subcomponent, c == d.Repetition, c == d.Escape, c == d.Truncation:
			return i
		}
	}
	return len(text)
}

// formatting gives the length of the escape that text starts with if reading it back leaves it as it stands.
func (e *encoder) formatting(text string) int {
	for end := 1; end < len(text) && end < 66; end++ {
		if text[end] != e.delims.Escape {
			continue
		}
		body := text[1:end]
		if isFormatting([]byte(body)) {
			return end + 1
		}
		return 0
	}
	return 0
}

func (e *encoder) appendByte(dst []byte, c byte) []byte {
	switch c {
	case '\r', '\n', 0x0b, 0x1c, 0:
		// Segment ends, the bytes that frame a message in MLLP, and the one that ends a text in some receivers.
		return e.appendHexEscape(dst, string(c))
	}
	d := &e.delims
	letter := byte(0)
	switch c {
	case d.Field:
		letter = 'F'
	case d.Component:
		letter = 'S'
	case d.Subcomponent:
		letter = 'T'
	case d.Repetition:
		letter = 'R'
	case d.Escape:
		letter = 'E'
	case d.Truncation:
		letter = 'P'
	}
	if letter == 0 {
		return append(dst, c)
	}
	return append(dst, d.Escape, letter, d.Escape)
}

func (e *encoder) appendHexEscape(dst []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	dst = append(dst, e.delims.Escape, 'X')
	for i := 0; i < len(s); i++ {
		dst = append(dst, digits[s[i]>>4], digits[s[i]&15])
	}
	return append(dst, e.delims.Escape)
}

// DecodeText gives the text of a leaf's ER7 in Unicode, with these delimiters: the inverse of EncodeText.
func (d Delimiters) DecodeText(er7 string) string {
	m := Message{delims: d, charset: UTF8}
	return string(m.appendUnescaped(nil, []byte(er7)))
}
