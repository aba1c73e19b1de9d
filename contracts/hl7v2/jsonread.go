package hl7v2

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonReader walks over a JSON text in place. encoding/json would build a tree many times the text's size, and put
// replacement characters where there are none. After a mistake bad is true, at is where it stands, and nothing moves.
type jsonReader struct {
	b    []byte
	at   int
	bad  bool
	text []byte // the last text read, decoded; the next one is written over it

	checking bool // texts are checked and not kept
}

// maxNesting bounds lists in lists. A message has five levels.
const maxNesting = 100

// peek gives the next byte that is no blank; 0 at the end.
func (r *jsonReader) peek() byte {
	for r.at < len(r.b) {
		switch c := r.b[r.at]; c {
		case ' ', '\t', '\r', '\n':
			r.at++
		default:
			return c
		}
	}
	return 0
}

func (r *jsonReader) take(c byte) bool {
	if r.bad || r.peek() != c || r.at == len(r.b) {
		return false
	}
	r.at++
	return true
}

func (r *jsonReader) expect(c byte) {
	if !r.take(c) {
		r.bad = true
	}
}

// members reads an object. visit gets each key and must read or skip its value.
func (r *jsonReader) members(visit func(key string)) {
	r.expect('{')
	if r.take('}') {
		return
	}
	for !r.bad {
		r.peek()
		r.readText()
		key := knownKey(r.text)
		r.expect(':')
		if r.bad {
			return
		}
		visit(key)
		if !r.take(',') {
			r.expect('}')
			return
		}
	}
}

// knownKey gives the keys that matter, without allocating; the others are "".
func knownKey(text []byte) string {
	for _, key := range [...]string{"charset", "segments", "id", "fields", "raw"} {
		if string(text) == key {
			return key
		}
	}
	return ""
}

// items reads a list. visit gets each item's index and must read or skip it.
func (r *jsonReader) items(visit func(i int)) {
	r.expect('[')
	if r.take(']') {
		return
	}
	for i := 0; !r.bad; i++ {
		visit(i)
		if !r.take(',') {
			r.expect(']')
			return
		}
	}
}

// skip passes over a value, checks it, and gives its bytes.
func (r *jsonReader) skip() []byte { return r.skipNested(0) }

func (r *jsonReader) skipNested(depth int) []byte {
	c := r.peek()
	start := r.at
	switch {
	case r.bad || depth == maxNesting:
		r.bad = true
	case c == '{':
		r.members(func(string) { r.skipNested(depth + 1) })
	case c == '[':
		r.items(func(int) { r.skipNested(depth + 1) })
	case c == '"':
		r.checkText()
	default:
		r.skipWord()
	}
	return r.b[start:r.at]
}

// skipWord passes over a number, true, false or null.
func (r *jsonReader) skipWord() {
	n := 0
	for r.at+n < len(r.b) && n < 64 && bytes.IndexByte([]byte("+-.0123456789Eaeflnrstu"), r.b[r.at+n]) >= 0 {
		n++
	}
	if !json.Valid(r.b[r.at : r.at+n]) {
		r.bad = true
		return
	}
	r.at += n
}

// checkText passes over a text. It leaves r.text alone.
func (r *jsonReader) checkText() {
	r.checking = true
	r.readText()
	r.checking = false
}

func (r *jsonReader) keep(text []byte) {
	if !r.checking {
		r.text = append(r.text, text...)
	}
}

// readText reads a text into r.text.
func (r *jsonReader) readText() {
	if r.at == len(r.b) || r.b[r.at] != '"' {
		r.bad = true
	}
	if r.bad {
		return
	}
	r.at++
	if !r.checking {
		if n := r.textLength(); cap(r.text) < n {
			r.text = make([]byte, 0, n)
		}
		r.text = r.text[:0]
	}
	for r.at < len(r.b) {
		switch c := r.b[r.at]; {
		case c == '"':
			r.at++
			return
		case c == '\\':
			r.readEscape()
		case c < ' ':
			r.bad = true
		default:
			ch, n := utf8.DecodeRune(r.b[r.at:])
			if ch == utf8.RuneError && n < 2 {
				r.bad = true
				break
			}
			r.keep(r.b[r.at : r.at+n])
			r.at += n
		}
		if r.bad {
			return
		}
	}
	r.bad = true
}

// textLength is how many bytes lie before the quote that ends a text: its decoded form isn't longer.
func (r *jsonReader) textLength() int {
	for i := r.at; i < len(r.b); i++ {
		switch r.b[i] {
		case '\\':
			i++
		case '"':
			return i - r.at
		}
	}
	return 0
}

func (r *jsonReader) readEscape() {
	const letters, meanings = `"\/bfnrt`, "\"\\/\b\f\n\r\t"
	if r.at+1 < len(r.b) {
		if i := bytes.IndexByte([]byte(letters), r.b[r.at+1]); i >= 0 {
			r.keep([]byte(meanings[i : i+1]))
			r.at += 2
			return
		}
	}
	c, n := r.hexRune(r.at), 6
	if utf16.IsSurrogate(c) {
		// Half a pair is no character.
		c, n = utf16.DecodeRune(c, r.hexRune(r.at+6)), 12
		if c == utf8.RuneError {
			c = -1
		}
	}
	if c < 0 {
		r.bad = true
		return
	}
	r.keep(utf8.AppendRune(nil, c))
	r.at += n
}

// hexRune reads \uXXXX; -1 if it isn't there.
func (r *jsonReader) hexRune(at int) rune {
	if at+6 > len(r.b) || r.b[at] != '\\' || r.b[at+1] != 'u' || !hexDigits(r.b[at+2:at+6]) {
		return -1
	}
	n, err := strconv.ParseUint(string(r.b[at+2:at+6]), 16, 32)
	if err != nil {
		return -1
	}
	return rune(n)
}
