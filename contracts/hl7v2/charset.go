package hl7v2

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// Charset is a character set that ER7 can be carried in: one in which the delimiters are single ASCII bytes that
// never stand inside another character. UTF-16, UTF-32 and the East Asian sets that use ASCII bytes as second bytes
// aren't among them. A *Charset can be compared with ==.
type Charset struct {
	name  string           // as table 0211 spells it
	table *charmap.Charmap // nil for UTF-8 and ASCII
	utf8  bool
}

// The character sets that code refers to by name; LookupCharset knows the others.
var (
	ASCII  = &Charset{name: "ASCII"}
	UTF8   = &Charset{name: "UNICODE UTF-8", utf8: true}
	Latin1 = &Charset{name: "8859/1", table: charmap.ISO8859_1}
	Latin9 = &Charset{name: "8859/15", table: charmap.ISO8859_15}
)

// charsets are keyed by their table 0211 code and by what partners write instead, reduced by charsetKey. Table 0211
// has 8859/1 to 8859/9 and 8859/15; the further parts of ISO 8859 and Windows-1252 are seen in the wild.
var charsets = map[string]*Charset{
	"ASCII": ASCII, "USASCII": ASCII, "ISOIR6": ASCII, "ISOIR006": ASCII, "ISO646": ASCII, "7BIT": ASCII,
	"UNICODEUTF8": UTF8, "UTF8": UTF8,
	"88591": Latin1, "8859": Latin1, "LATIN1": Latin1, "ISOIR100": Latin1, "WESTERN": Latin1,
	"885915": Latin9, "LATIN9": Latin9,
	"88592":       {name: "8859/2", table: charmap.ISO8859_2},
	"88593":       {name: "8859/3", table: charmap.ISO8859_3},
	"88594":       {name: "8859/4", table: charmap.ISO8859_4},
	"88595":       {name: "8859/5", table: charmap.ISO8859_5},
	"88596":       {name: "8859/6", table: charmap.ISO8859_6},
	"88597":       {name: "8859/7", table: charmap.ISO8859_7},
	"88598":       {name: "8859/8", table: charmap.ISO8859_8},
	"88599":       {name: "8859/9", table: charmap.ISO8859_9},
	"885910":      {name: "8859/10", table: charmap.ISO8859_10},
	"885913":      {name: "8859/13", table: charmap.ISO8859_13},
	"885914":      {name: "8859/14", table: charmap.ISO8859_14},
	"885916":      {name: "8859/16", table: charmap.ISO8859_16},
	"WINDOWS1252": windows1252, "CP1252": windows1252,
}

var windows1252 = &Charset{name: "WINDOWS-1252", table: charmap.Windows1252}

// LookupCharset finds a character set by its code in table 0211 (8859/15, UNICODE UTF-8) or by a usual other
// spelling of it (ISO-8859-15, UTF8, latin9, in any case and with blanks around). An empty name is ASCII, which the
// standard takes for a message that doesn't say.
func LookupCharset(name string) (*Charset, bool) {
	switch name {
	case "":
		return ASCII, true
	case "UNICODE UTF-8":
		return UTF8, true
	case "8859/1":
		return Latin1, true
	case "8859/15":
		return Latin9, true
	}
	key := charsetKey(name)
	if key == "" {
		return ASCII, strings.TrimSpace(name) == ""
	}
	if c, ok := charsets[key]; ok {
		return c, true
	}
	c, ok := charsets[strings.TrimPrefix(key, "ISO")]
	return c, ok
}

// whyNot says why a character set is refused, and what to write instead.
func whyNot(name string) string {
	switch key := charsetKey(name); {
	case strings.Contains(key, "UTF16"):
		return "UTF-16 in MSH-18 can't be carried in ER7: its bytes would end segments and frames. Use UNICODE UTF-8."
	case strings.Contains(key, "UTF32"):
		return "UTF-32 in MSH-18 can't be carried in ER7: its bytes would end segments and frames. Use UNICODE UTF-8."
	case key == "UNICODE":
		return "MSH-18 doesn't say which encoding of Unicode. Use UNICODE UTF-8."
	}
	return "The character set in MSH-18 is unknown or can't be carried in ER7."
}

// charsetKey is name in capitals with letters and digits only.
func charsetKey(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return -1
	}, name)
}

// Name is the character set's code in table 0211, as it is written to MSH-18.
func (c *Charset) Name() string { return c.name }

// invalidAt gives the index of the first byte of b that isn't a character, or -1.
func (c *Charset) invalidAt(b []byte) int {
	switch {
	case c.utf8:
		return invalidUTF8(b)
	case c.table == nil:
		return firstHigh(b)
	}
	for i := firstHigh(b); i >= 0 && i < len(b); i++ {
		if b[i] >= 0x80 && c.table.DecodeByte(b[i]) == utf8.RuneError {
			return i
		}
	}
	return -1
}

// decodedLen is the length of b's text in UTF-8, or somewhat more.
func (c *Charset) decodedLen(b []byte) int {
	if c.table == nil {
		return len(b)
	}
	n := len(b)
	for _, x := range b {
		if x >= 0x80 {
			n += 2
		}
	}
	return n
}

// appendDecoded appends the text of b, which invalidAt found good.
func (c *Charset) appendDecoded(dst, b []byte) []byte {
	if c.table == nil {
		return append(dst, b...)
	}
	for _, x := range b {
		if x < 0x80 {
			dst = append(dst, x)
		} else {
			dst = utf8.AppendRune(dst, c.table.DecodeByte(x))
		}
	}
	return dst
}

// appendRune appends r in c; ok is false, and nothing is appended, if c has no such character.
func (c *Charset) appendRune(dst []byte, r rune) (_ []byte, ok bool) {
	switch {
	case r < 0x80:
		return append(dst, byte(r)), true
	case c.utf8:
		return utf8.AppendRune(dst, r), true
	case c.table == nil:
		return dst, false
	}
	x, ok := c.table.EncodeRune(r)
	if !ok {
		return dst, false
	}
	return append(dst, x), true
}

// Encode gives text in c, its escapes and delimiters untouched; ok is false if c lacks a character of it.
func (c *Charset) Encode(text string) (_ []byte, ok bool) {
	b := make([]byte, 0, len(text))
	for _, r := range text {
		if b, ok = c.appendRune(b, r); !ok {
			return nil, false
		}
	}
	return b, true
}
