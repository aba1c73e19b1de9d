package contracts

import (
	"regexp"
	"strings"
	"time"
)

// Raised is a message's part in an issue: something about it that stops nothing and that a person has to look at.
type Raised struct {
	Issue   ID // IssueID
	Message ID // the incoming message
	At      time.Time
	Partner string // who sent it
	Map     string // id@version that told
	Fault   *Fault // the finding, with its place in this message
}

// Issue groups like faults: those of one partner and map, of one code at one place, whatever the repetition.
type Issue struct {
	ID       ID        `json:"id"`
	Parked   bool      `json:"parked"` // its messages are parked; else they went on
	Partner  string    `json:"partner"`
	Map      string    `json:"map,omitempty"`
	Fault    *Fault    `json:"fault"`    // of the newest message
	Messages int       `json:"messages"` // how many there are
	First    time.Time `json:"first"`    // when the first of them was received
	Last     time.Time `json:"last"`
	Message  ID        `json:"message"` // the newest
}

// counted is the number of a repetition or of an element of a list in a place.
var counted = regexp.MustCompile(`\(\d+\)|\[\d+\]`)

// IssueID gives like faults one id, of eight letters and digits, in every process and for good.
func IssueID(partner, mapName string, f *Fault) ID {
	id, _, _ := strings.Cut(mapName, "@") // a newer version doesn't mend by itself
	place := counted.ReplaceAllString(f.Place(), "")
	return ID(DerivedID("issue", partner, id, string(f.Kind), f.Code, place).Control()[:8])
}
