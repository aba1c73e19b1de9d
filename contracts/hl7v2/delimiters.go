package hl7v2

import "bytes"

// Delimiters are the characters that a message names in MSH-1 and MSH-2. They are single ASCII bytes.
type Delimiters struct {
	Field        byte // MSH-1
	Component    byte
	Repetition   byte
	Escape       byte
	Subcomponent byte
	Truncation   byte // from version 2.7, and only if MSH-2 has a fifth character; else 0
}

// Standard are the delimiters that the standard recommends and that nearly everybody uses: |^~\&.
var Standard = Delimiters{Field: '|', Component: '^', Repetition: '~', Escape: '\\', Subcomponent: '&'}

// EncodingCharacters is MSH-2: four characters, or five if there is a truncation character.
func (d Delimiters) EncodingCharacters() string {
	b := []byte{d.Component, d.Repetition, d.Escape, d.Subcomponent}
	if d.Truncation != 0 {
		b = append(b, d.Truncation)
	}
	return string(b)
}

// longestMSH2 is how many characters may stand in MSH-2 for it to be taken for one, five of which mean something.
const longestMSH2 = 20

// readDelimiters reads MSH-1 and MSH-2 from a segment that starts with MSH. Odd reports that MSH-2 had fewer than four
// or more than five characters, or one twice: partners do send ^~~& and ^&, and such a message can still be read once the characters
// that are missing get their usual value. ok is false when MSH-1 can't separate anything.
func readDelimiters(msh []byte) (d Delimiters, odd, ok bool) {
	if len(msh) > 8 && string(msh[3:9]) == `|^~\&|` {
		return Standard, false, true
	}
	if len(msh) < 4 || !usable(msh[3]) {
		return d, false, false
	}
	d.Field = msh[3]
	var chars []byte
	for i, c := range msh[4:] {
		// LF ends the segment only where there is no CR; else it is data, and no delimiter.
		if c == d.Field || c == '\r' || c == '\n' && bytes.IndexByte(msh, '\r') < 0 {
			break
		}
		if !usable(c) {
			return d, false, false
		}
		if i == longestMSH2 {
			return d, false, false
		}
		if odd = len(chars) == 5; !odd {
			chars = append(chars, c)
		}
	}
	roles := [5]*byte{&d.Component, &d.Repetition, &d.Escape, &d.Subcomponent, &d.Truncation}
	if len(chars) >= 4 {
		for i, c := range chars {
			if d.has(c) {
				odd = true
				continue
			}
			*roles[i] = c
		}
	} else {
		odd = true
		assignShort(&d, chars, roles)
	}
	for i, usual := range "^~\\&" {
		// A usual character may be MSH-1 itself; then any free one does, since the message can't hold it as such.
		for _, c := range string(usual) + "@$!%*" {
			if *roles[i] == 0 && !d.has(byte(c)) {
				*roles[i] = byte(c)
			}
		}
	}
	return d, odd, true
}

// assignShort gives the characters of a too short MSH-2 their roles: the usual one where a character has one, so that
// ^& means component and subcomponent, else the one of their position.
func assignShort(d *Delimiters, chars []byte, roles [5]*byte) {
	for i, c := range chars {
		if d.has(c) {
			continue
		}
		switch c {
		case '^':
			d.Component = c
		case '~':
			d.Repetition = c
		case '\\':
			d.Escape = c
		case '&':
			d.Subcomponent = c
		default:
			if *roles[i] == 0 {
				*roles[i] = c
			}
		}
	}
}

func (d *Delimiters) has(c byte) bool {
	return c == d.Field || c == d.Component || c == d.Repetition || c == d.Escape || c == d.Subcomponent ||
		c == d.Truncation
}

// usable says whether c can be a delimiter: a printable ASCII character that is no letter, digit, quote or blank.
func usable(c byte) bool {
	return c > ' ' && c < 0x7f && c != '"' && !isAlphanumeric(c)
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}
