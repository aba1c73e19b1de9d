package mappings

import "github.com/hoitosilta/silta/contracts/fhir"

// origin is the lineage of one leaf: from a v2 place to a FHIR node, or from a node to a v2 place. One is kept of each
// leaf of each message, so it is small; Lines says it in words.
type origin struct {
	rule                  *op
	node                  uint32 // ID in its tree; 0 where there is none
	request               bool   // the node stands in the request
	segment               uint32 // number in the message, from 1; 0: no place
	field, rep, comp, sub int16
}

// segmentLabel tells a segment apart in a message.
type segmentLabel struct {
	id  string
	nth int32
}

func (r *Result) node(o *origin) fhir.Node {
	if o.request {
		return r.read[1].Node(o.node)
	}
	return r.read[0].Node(o.node)
}

func (r *Result) place(o *origin) place {
	if o.segment == 0 {
		return place{}
	}
	s := r.segments[o.segment-1]
	return place{&segment{id: s.id, nth: int(s.nth)}, o.field, o.rep, o.comp, o.sub}
}

// Leaves counts the populated leaves of a message that was read: those of its segments that hold something, MSH-1 and MSH-2
// apart.
type Leaves struct {
	All     int `json:"leaves"`
	Rules   int `json:"rules"`   // read by a rule, a selector or a table
	Engine  int `json:"engine"`  // the engine's own: counters, version, character set
	Ignored int `json:"ignored"` // not read, for a reason that the map gives
	Residue int `json:"residue"` // neither, and kept for the way back
}

// Add sums up, for a figure of several messages.
func (l *Leaves) Add(other Leaves) {
	l.All, l.Rules, l.Engine, l.Ignored, l.Residue = l.All+other.All, l.Rules+other.Rules, l.Engine+other.Engine, l.Ignored+other.Ignored, l.Residue+other.Residue
}

// Lines gives the lineage of every written leaf, in the order in which they were written.
func (r *Result) Lines() []Line {
	lines := make([]Line, 0, len(r.lineage))
	for i := range r.lineage {
		lines = append(lines, r.line(&r.lineage[i]))
	}
	for i := range r.exchanged {
		lines = append(lines, r.exchanged[i].line())
	}
	return lines
}

func (e *exchange) line() Line {
	l := Line{Rule: "selector", From: e.from.Place(), To: e.to.Place()}
	if e.rule != nil {
		l.Rule, l.Lens = e.rule.id, e.rule.lensName
	}
	switch {
	case l.Rule == "link":
		l.From, l.Lens = "link", ""
	case !e.from.Exists():
		l.From, l.Lens = "const", ""
	}
	return l
}

// Bytes are what Reverse made, as it travels: ER7, or JSON where the map's dialect is FHIR.
func (r *Result) Bytes() []byte {
	if r.Dialect != nil {
		return r.Dialect.Append(nil)
	}
	return r.Message.Bytes()
}

func (r *Result) line(o *origin) Line {
	l := Line{Rule: "selector", From: r.place(o).String(), To: r.node(o).Place()}
	if r.Message != nil {
		l.From, l.To = l.To, l.From
	}
	if o.rule != nil {
		l.Rule, l.Lens = o.rule.id, o.rule.lensName
	}
	switch {
	case l.Rule == "link" || o.rule != nil && o.rule.kind == opLink:
		l.From, l.Lens = "link", ""
	case l.From == "":
		l.From, l.Lens = "const", ""
	}
	return l
}
