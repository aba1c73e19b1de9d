package mappings

// text is a scalar with its place.
type text struct {
	s  string
	at pos
}

func (t text) set() bool { return t.at.line > 0 }

// document is a map or block file as it stands, not yet checked against any schema.
type document struct {
	block    bool
	id       text
	version  text
	title    map[string]string
	v2       v2Head
	dialect  dialectHead
	fhir     fhirHead
	names    []nameDef
	slices   []sliceDef
	frames   []frameDef
	links    []linkDef
	consts   []constDef
	tables   []tableDef
	uses     []useDef
	rules    []ruleDef
	ignored  []ignoreDef
	dropped  []ignoreDef
	loss     text
	codes    []codesDef
	preserve text
}

// lossWithheld is what `loss` may say: what the way back doesn't carry stays behind on purpose, and is counted, not reported.
const lossWithheld = "withheld"

// What `invalid` may say of a value that a rule's lens refuses.
const (
	invalidError = "error" // it parks
	invalidTask  = "task"  // it is left out, and somebody has to look at it
)

// What `zone.write` may say of the times that the way back writes.
const (
	writeOffset = "offset" // as they stand in FHIR, with their offset
	writeLocal  = "local"  // in the zone of the map or the contract, without an offset
	writeUTC    = "utc"    // in UTC, with +0000
)

// What `preserve` may say of that which no rule carries.
const (
	preserveRest = "rest" // it is kept beside the canonical message
	preserveNone = "none" // it is only reported
)

type v2Head struct {
	at         pos
	structures []text
	events     []text
	versions   []text
	anchor     text // of a block
	zsegments  []zsegment
	zone       text
	write      text
}

type zsegment struct {
	id     text
	after  text
	fields []text
}

type fhirHead struct {
	at      pos
	release text
	bundle  text
	event   text
	typ     text // of a block
}

type nameDef struct{ name, value text }

type sliceDef struct {
	name               text
	v2Match, v2Set     text
	fhirMatch, fhirSet text
}

type frameDef struct {
	name, typ, from, in, by, orphans text
	each, always                     bool
	since, until                     text
	at                               pos
}

type linkDef struct {
	paths, to, or []text
	stub          bool
	find, dir     text
	at            pos
}

type constDef struct {
	v2, fhir, value text
	since, until    text
	at              pos
}

type tableDef struct {
	id       text
	context  []text
	v2, fhir []text
	rows     []rowDef
	at       pos
}

type rowDef struct {
	v2, fhir []text
	dir      text
	at       pos
}

type useDef struct {
	block, frame text
	rules        []ruleDef // the block's as an overlay changed them
	changed      bool
}

type ruleDef struct {
	at               pos
	id               text
	v2, fhir         []text
	as, code, system text
	link             text
	rules, first     []ruleDef
	ifV2, ifFHIR     text
	whenV2, whenFHIR text
	set, setFHIR     []text // setFHIR only where the dialect is FHIR
	except           []text
	orV2, orFHIR     []text
	alsoV2, alsoFHIR []text
	rep, sep         text
	hasSep           bool
	prefix           text
	absent           text
	invalid          text
	value            text
	dir              text
	since, until     text
}

type ignoreDef struct {
	fhir      bool
	path, why text
}

type codesDef struct {
	name        text
	use         text
	unmapped    text
	table       text
	system      text
	pairs       []pair // map, in order
	reverseOnly []pair
	forwardOnly []pair
	prefer      []pair
	display     []pair
}

type pair struct{ from, to text }
