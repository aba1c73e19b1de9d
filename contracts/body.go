package contracts

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Body holds the bytes of a message. Whatever prints, logs or marshals it, by accident or on purpose, gets its
// length: the bytes sit behind a closure, where neither fmt, reflection, an encoder nor a test's diff can see them.
// Bytes is the only way to them. The zero Body is empty.
type Body struct{ held *holder }

type holder struct{ bytes func() []byte }

// NewBody holds b. It keeps b, which must not change afterwards.
func NewBody(b []byte) Body { return Body{&holder{func() []byte { return b }}} }

// Bytes gives the bytes themselves, not a copy; they must not be changed.
func (b Body) Bytes() []byte {
	if b.held == nil {
		return nil
	}
	return b.held.bytes()
}

// Len is the number of bytes.
func (b Body) Len() int { return len(b.Bytes()) }

// String gives the length, as "812 bytes".
func (b Body) String() string { return fmt.Sprintf("%d bytes", b.Len()) }

// GoString gives the length.
func (b Body) GoString() string { return "contracts.Body(" + b.String() + ")" }

// Format prints the length for every verb.
func (b Body) Format(f fmt.State, verb rune) { fmt.Fprint(f, b.String()) }

// MarshalJSON writes the length as a string.
func (b Body) MarshalJSON() ([]byte, error) { return json.Marshal(b.String()) }

// MarshalText writes the length, for every encoder that asks for text (XML, map keys, YAML).
func (b Body) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// MarshalYAML gives the length.
func (b Body) MarshalYAML() (any, error) { return b.String(), nil }

var errSealed = errors.New("contracts: a body isn't encoded; take its Bytes on purpose")

// GobEncode refuses: what would be decoded is not the message.
func (b Body) GobEncode() ([]byte, error) { return nil, errSealed }

// GobDecode refuses.
func (b *Body) GobDecode([]byte) error { return errSealed }

// UnmarshalJSON refuses: a body can't come from its own print.
func (b *Body) UnmarshalJSON([]byte) error { return errSealed }

// UnmarshalText refuses.
func (b *Body) UnmarshalText([]byte) error { return errSealed }

// Equal says whether both hold the same bytes.
func (b Body) Equal(c Body) bool { return string(b.Bytes()) == string(c.Bytes()) }
