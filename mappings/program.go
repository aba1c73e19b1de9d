package mappings

import (
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// program is a map compiled for one version of HL7 v2. It is immutable.
type program struct {
	version    string
	dict       *hl7v2.Dict
	root       *groupDef
	structure  *hl7v2.Structure // the one that is written
	bundle     *frame
	frames     []*frame // in file order; bundle isn't among them
	plan       []*frame // in the order in which the way back finds them
	ops        []*op
	tables     []*table
	links      []*link
	consts     []*constant
	ignored    []ignored
	dropped    []ignored          // v2 fields alone
	withholds  bool               // what the way back doesn't carry is counted, not reported
	owned      map[*groupDef]bool // scopes of `in` frames
	usesOrigin bool
}

// frame pairs a stretch of the message with a resource.
type frame struct {
	name, typ    string
	index        int
	defs         *fhir.Type
	message      bool // from: message
	anchor       string
	from         string // as written; frames with equal ones share their segments
	selector     *v2Selector
	rest         bool
	field        int // of a field anchor
	fieldPick    pick
	each, always bool
	parent       *frame
	by           *fhirRef
	byChild      bool // the reference leads from the child to the parent
	orphans      *fhirRef
	scope        *groupDef // the group it stands for; nil: the segment alone
	holder       *groupDef // the group that has the anchor
	rivals       []*v2Selector
	ways         []way // how the way back finds it, first to last
	contested    bool  // another frame of its type is found by what points back, too
	needs        []need
	at           pos
}

// way is a path by which the way back finds instances of a frame.
type way struct {
	from     *frame // whose resources have the path; for backward ways the frame that is pointed at
	ref      *fhirRef
	backward bool // resources of the frame's type that point at from
	origin   bool // in the request
	or       bool // only where no earlier way found anything
	stub     bool
}

// refMode says where a v2 path's segment is looked for.
type refMode uint8

const (
	inAnchor  refMode = iota // the frame's own segment or repetition
	inCurrent                // the segment or repetition of the nested rule
	inGroup                  // directly in the frame's group
	inNested                 // in a group below it
	inOuter                  // in an enclosing group, only read
	inForeign                // anywhere in the message, only read
)

// v2Ref is a v2 path bound to a version.
type v2Ref struct {
	path    v2Path
	mode    refMode
	segment string
	segSel  *v2Selector
	repSel  *v2Selector
	claims  []*v2Selector // of the other rules on this field, for (rest)
	claimed []int         // repetitions that other rules take by number
	field   int16
	comp    int16
	sub     int16
	typ     string    // data type of what the path leads to
	holder  *groupDef // the group that has the segment
	rising  int       // how often to go up, for inOuter
	order   int64     // where a field's repetitions stand among those of other rules, on the way back
	at      pos
}

func (r *v2Ref) many() bool { return r.path.segPick.many() || r.path.pick.many() }

// v2Selector is alternatives of equalities over a segment or repetition.
type v2Selector struct {
	source string
	alts   [][]v2Cond
	set    []v2Cond
}

type v2Cond struct {
	field, comp, sub int16
	value            string
}

// fhirRef is a FHIR path bound to the schema.
type fhirRef struct {
	path   fhirPath
	frame  *frame // nil: the nested rule's element
	steps  []fhirPlace
	typ    string // the final type: HumanName, code; Appointment.participant
	elem   *fhir.Element
	owner  string // the type whose element it is: Patient, Coding
	origin bool
	at     pos

	modifier bool // it, or what it stands in, changes what the rest means
}

type fhirPlace struct {
	name    string
	list    bool
	pick    pick
	sel     *fhirSelector
	claims  []claim // of the other rules on this list, for (rest)
	claimed []int
	order   int64
	at      pos
	unit    *unit
}

// claim is what another rule takes of a list: all that its selector matches, or with an index only that one of them.
type claim struct {
	sel   *fhirSelector
	index int
}

func (r *fhirRef) many() bool {
	for i := range r.steps {
		if r.steps[i].pick.many() {
			return true
		}
	}
	return false
}

type fhirSelector struct {
	source string
	alts   [][]fhirCond
	set    []fhirCond
	isPath string
	isType string
}

type fhirCond struct {
	path  []string
	lists []bool
	kind  fhir.Kind
	value string
}

type opKind uint8

const (
	opLens opKind = iota
	opNested
	opFirst
	opLink
	opValue
)

// op is a compiled rule.
type op struct {
	id                string
	row               int // of a table's row: its number, from 1; id is then the table's
	kind              opKind
	frame             *frame
	v2, orV2, alsoV2  []*v2Ref
	fhir              []*fhirRef
	orFHIR, alsoFHIR  []*fhirRef
	lens              *lens
	lensName          string // for lineage
	code              *codeMap
	system            string
	alone             bool // its element is one with that system, by the path's selector
	rep, sep          string
	prefix            string
	absent, value     string
	leaves            bool // what the lens refuses is left out, and the message goes on
	ifV2              [][]refCond
	ifFHIR            [][]fhirRefCond
	whenV2, whenFHIR  *guard
	setV2             []refCond
	setFHIR           []fhirRefCond
	kids              []*op
	link              *frame
	forward, backward bool
	at                pos
}

type refCond struct {
	ref   *v2Ref
	value string
}

type fhirRefCond struct {
	ref   *fhirRef
	value string
}

// table decides several cells from several cells.
type table struct {
	id      string
	v2      []*v2Ref
	fhir    []*fhirRef
	v2Ctx   []bool
	fhirCtx []bool
	rows    []tableRow
	at      pos
}

type tableRow struct {
	v2, fhir          []string // "*", "-" or a literal
	forward, backward bool
	rule              *op // of what it writes
}

type link struct {
	ref     *fhirRef
	frame   *frame // who holds it
	to      []*frame
	forward bool
	rule    *op
}

type constant struct {
	v2    *v2Ref
	fhir  *fhirRef
	value string
	rule  *op
}

type ignored struct {
	segment  string
	from, to int16 // fields; 0: the whole segment
	comp     int16
	fhir     *fhirRef
}

// has says whether a component of a field is meant.
func (x *ignored) has(segment string, field, comp int16) bool {
	return x.segment == segment && (x.from == 0 || field >= x.from && field <= x.to) && (x.comp == 0 || x.comp == comp)
}
