package generate

import (
	"bytes"
	"fmt"
	"slices"
)

// Flaw is a way in which a message is wrong.
type Flaw string

// The flaws. What Silta says to each stands beside it.
const (
	UnmappedPriority Flaw = "unmapped priority" // RF1-2 holds a code of no table: acknowledged, then parked
	WrongByte        Flaw = "wrong byte"        // a byte that the character set doesn't have: AE, 102
	NoControl        Flaw = "no control id"     // MSH-10 is empty: AR, 101
	UnknownType      Flaw = "unknown type"      // MSH-9 that the contract doesn't take: AR, 200
	UnknownEvent     Flaw = "unknown event"     // a REF with an event that the contract doesn't take: AR, 201
	UnknownVersion   Flaw = "unknown version"   // MSH-12 9.9: AR, 203
	NotHL7           Flaw = "not HL7"           // no MSH: nothing to answer
	Empty            Flaw = "empty"             // a frame without a byte
)

// Flaws are all of them.
func Flaws() []Flaw {
	return []Flaw{UnmappedPriority, WrongByte, NoControl, UnknownType, UnknownEvent, UnknownVersion, NotHL7, Empty}
}

// Broken makes a message with one flaw. Its Control is empty where the bytes have none.
func (m *Maker) Broken(flaw Flaw) Message {
	message := m.Next()
	replace := func(was, is string) {
		if !bytes.Contains(message.Bytes, []byte(was)) {
			panic(fmt.Sprintf("generate: no place for the flaw %q", flaw))
		}
		message.Bytes = bytes.Replace(message.Bytes, []byte(was), []byte(is), 1)
	}
	switch flaw {
	case UnmappedPriority:
		at := bytes.Index(message.Bytes, []byte("\rRF1|P|")) + len("\rRF1|P|")
		message.Bytes = slices.Concat(message.Bytes[:at], []byte("QQ"), message.Bytes[at+1:])
	case WrongByte:
		replace("|SPO^", "|\xff\xfe^")
	case NoControl:
		replace("|"+message.Control+"|", "||")
		message.Control = ""
	case UnknownType:
		replace("|REF^", "|QQQ^")
	case UnknownEvent:
		at := bytes.Index(message.Bytes, []byte("|REF^I1")) + len("|REF^I1")
		message.Bytes[at] = '9'
	case UnknownVersion:
		replace("|P|"+m.o.Version+"|", "|P|9.9|")
	case NotHL7:
		message.Control, message.Bytes = "", []byte("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")
	case Empty:
		message.Control, message.Bytes = "", nil
	default:
		panic(fmt.Sprintf("generate: no flaw %q", flaw))
	}
	return message
}
