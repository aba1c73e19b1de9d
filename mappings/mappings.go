// Package mappings translates messages by maps: YAML files that pair a partner's dialect of HL7 v2 with Silta's canonical FHIR
// message, in both directions.
//
// A map is loaded with its blocks and code maps, compiled against the v2 dictionaries and the FHIR R4 schema, and is
// immutable from then on: Forward and Reverse are pure, so the same input gives the same bytes, and many goroutines
// may use one Map. There is no I/O here beyond reading the file systems that Load is given.
//
// Faults of a map file have a line and a column and are reported all at once; faults about a message have a place in
// it and never a value. Codes lists them.
//
// How maps are written: catalog/README.md. The canonical message: contracts/profiles/README.md.
package mappings

import (
	"embed"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// Embedded is the catalog that is built into the binary: catalog/ID/VERSION/map.yaml with its cases, block.yaml for
// shared blocks, codes/NAME@VERSION.json for code maps, and catalog.lock with the digests of published versions.
//
//go:embed catalog codes catalog.lock
var Embedded embed.FS

// Context is all that a map may know beside the message.
type Context struct {
	Now     time.Time      // the incoming record's time, never the clock; used where a message doesn't say when it was made
	Zone    *time.Location // for local times; nil means Europe/Helsinki
	Origin  *Origin        // the request that a reversed answer answers; nil where there is none
	Version string         // the v2 version that Reverse writes; empty means 2.5.1, or the map's highest below it
	Charset string         // the table 0211 name that Reverse writes; empty means UNICODE UTF-8
	Escape  bool           // Reverse writes characters that Charset lacks as \X..\ instead of giving a fault
	Mark    bool           // Reverse writes the truncation character to MSH-2, from version 2.7 on
	Residue bool           // Forward keeps in the Bundle, for Reverse, what the rules don't carry, unless the map says `preserve: none`
	Sender  string         // who sent the message, part of the entries' fullUrls; empty means MSH-3 and MSH-4

	Application string // what the sender's contract calls its application, for messages without MSH-3
	Untraced    bool   // no lineage: to measure what it costs
}

// Origin is a request, as the hub remembers it for its answer.
type Origin struct {
	Bundle      *fhir.Tree // its canonical Bundle, only read
	Application string     // its MSH-3
	Facility    string     // its MSH-4
	ControlID   string     // its MSH-10
}

// Result is a translated message.
type Result struct {
	Bundle   *fhir.Tree       // what Forward made
	Message  *hl7v2.Message   // what Reverse made of a map for HL7 v2
	Dialect  *fhir.Tree       // what Reverse made of a map whose dialect is FHIR
	Findings contracts.Faults // losses and warnings; none of them stops the message
	Coverage float64          // populated leaves that a rule read, or that are ignored for a reason, over all populated leaves
	Leaves   Leaves           // what Coverage is made of; of Forward only
	Unread   []string         // v2 places (Forward) or FHIR paths (Reverse) that no rule read, in order

	lineage   []origin
	exchanged []exchange     // the lineage where the dialect is FHIR
	segments  []segmentLabel // that lineage names by their index
	read      [2]*fhir.Tree  // what its nodes stand in: the Bundle, and the request where a node of that was read
}

// Line is the lineage of one written leaf, as `silta map run --explain` prints it.
type Line struct {
	Rule string `json:"rule"`
	From string `json:"from"` // a place, or "const" or "link" where no field is behind it
	To   string `json:"to"`
	Lens string `json:"lens,omitempty"` // a code map's is code:NAME@VERSION
}
