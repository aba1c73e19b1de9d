package mappings

import (
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/decls"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"

	"github.com/hoitosilta/silta/contracts/fhir"
)

// guard is one side of a rule's `when`: a CEL expression over what stands in the message. What it asks for is looked up
// only when it is needed, and isn't counted as read: a guard carries nothing.
type guard struct {
	program cel.Program
	asks    map[string]ask
	always  bool // the expression is just true
	alone   *ask // the expression is just this one, or that it isn't so
	not     bool
}

// ask is a call of has, count, v, same or labelled in an expression; after parsing it is a variable of the call's name and
// path, or both its paths.
type ask struct {
	call  string
	v2    *v2Ref
	fhir  *fhirRef
	other *fhirRef // what same compares
	label string
	typ   *cel.Type
}

// whenCalls are the calls that an expression has beside CEL's own functions and operators.
var whenCalls = []string{"has", "count", "v", "same", "labelled"}

// between stands between the two paths of one question.
const between = "', '"

// celBase is CEL without macros of its own: its has() asks for a field of a message, ours for a path.
var celBase = sync.OnceValues(func() (*cel.Env, error) {
	var macros []cel.EnvOption
	for _, call := range whenCalls {
		paths := 1
		if call == "same" {
			paths = 2
		}
		macros = append(macros, cel.Macros(cel.GlobalMacro(call, paths, func(h cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *common.Error) {
			var list []string
			for _, arg := range args {
				if arg.Kind() != ast.LiteralKind || arg.AsLiteral().Type() != types.StringType {
					return nil, h.NewError(arg.ID(), call+"() takes a path in quotes")
				}
				list = append(list, string(arg.AsLiteral().(types.String)))
			}
			return h.NewIdent(call + " " + strings.Join(list, between)), nil
		})))
	}
	return cel.NewEnv(append([]cel.EnvOption{cel.ClearMacros()}, macros...)...)
})

// expressions keeps what CEL made of guards: blocks are compiled for many maps, each map for many versions, and CEL takes
// long. Many goroutines may use it.
type expressions struct{ reads, checks sync.Map }

// reading is an expression before its questions have types.
type reading struct {
	asked  []asked // in its order
	always bool    // it is just true
	alone  bool    // it is just one question, or its contrary
	not    bool
}

// asked is a question; name is the variable that stands for it.
type asked struct {
	name, call, path string
	at               common.Location
}

// read parses an expression.
func (x *expressions) read(source string) (*reading, *cel.Issues, error) {
	if known, ok := x.reads.Load(source); ok {
		return known.(*reading), nil, nil
	}
	base, err := celBase()
	if err != nil {
		return nil, nil, err
	}
	parsed, issues := base.Parse(source)
	if issues.Err() != nil {
		return nil, issues, nil
	}
	r := &reading{}
	tree := parsed.NativeRep()
	ast.PreOrderVisit(tree.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.IdentKind {
			return
		}
		call, path, ours := strings.Cut(e.AsIdent(), " ")
		if ours {
			r.asked = append(r.asked, asked{e.AsIdent(), call, path, tree.SourceInfo().GetStartLocation(e.ID())})
		}
	}))
	switch whole := tree.Expr(); whole.Kind() {
	case ast.LiteralKind:
		r.always = whole.AsLiteral() == types.True
	case ast.IdentKind:
		r.alone = len(r.asked) == 1
	case ast.CallKind:
		r.not = whole.AsCall().FunctionName() == operators.LogicalNot && whole.AsCall().Args()[0].Kind() == ast.IdentKind
		r.alone = r.not && len(r.asked) == 1
	}
	x.reads.Store(source, r)
	return r, nil, nil
}

// checking is an expression whose questions have types.
type checking struct {
	gives   *cel.Type
	program cel.Program
}

// check compiles an expression with the variables of its questions.
func (x *expressions) check(source string, questions []*decls.VariableDecl) (*checking, *cel.Issues, error) {
	key := source
	for _, q := range questions {
		key += "\n" + q.Name() + " " + q.Type().String()
	}
	if known, ok := x.checks.Load(key); ok {
		return known.(*checking), nil, nil
	}
	base, err := celBase()
	if err != nil {
		return nil, nil, err
	}
	env, err := base.Extend(cel.VariableDecls(questions...))
	if err != nil {
		return nil, nil, err
	}
	tree, issues := env.Compile(source) // parsed anew: the check rewrites what it is given
	if issues.Err() != nil {
		return nil, issues, nil
	}
	c := &checking{gives: tree.OutputType()}
	if c.program, err = env.Program(tree); err != nil {
		return nil, nil, err
	}
	x.checks.Store(key, c)
	return c, nil, nil
}

// when compiles a rule's guards. A two-way rule has both, or the ways would disagree about when it holds.
func (c *compiler) when(u *unit, def ruleDef, o *op, in *nest) {
	if !def.whenV2.set() && !def.whenFHIR.set() {
		return
	}
	one := func(side string, expr text, way bool) {
		switch {
		case way && !expr.set():
			u.r.add(CodeWhen, def.at, "The rule runs both ways, so `when` needs its %s side too; or say dir.", side)
		case !way && expr.set():
			u.r.add(CodeWhen, expr.at, "The rule never reads its %s side, so it can't be guarded there.", side)
		}
	}
	one("v2", def.whenV2, o.forward)
	one("fhir", def.whenFHIR, o.backward)
	if def.absent.set() {
		u.r.add(CodeWhen, def.absent.at, "`absent` and `when` exclude one another: is the source missing, or the guard against it?")
	}
	c.asking = true
	if def.whenV2.set() {
		o.whenV2 = c.guard(u, def.whenV2, func(call string, path text) (ask, bool) { return c.askV2(u, o, in, call, path) })
	}
	if def.whenFHIR.set() {
		o.whenFHIR = c.guard(u, def.whenFHIR, func(call string, path text) (ask, bool) { return c.askFHIR(u, in, call, path) })
	}
	c.asking = false
}

// guard compiles an expression. bind checks what it asks for, and gives its type.
func (c *compiler) guard(u *unit, expr text, bind func(call string, path text) (ask, bool)) *guard {
	place := func(l common.Location) pos {
		if l.Line() > 1 || l.Column() < 0 {
			return expr.at
		}
		return pos{line: expr.at.line, col: expr.at.col + l.Column(), file: expr.at.file}
	}
	report := func(issues *cel.Issues) bool {
		for _, e := range issues.Errors() {
			at := place(e.Location)
			if l := e.Location; l.Line() == 1 && strings.HasPrefix(expr.s[min(l.Column(), len(expr.s)):], "(") {
				at.col -= len(word.FindString(expr.s[:l.Column()])) // CEL names the parenthesis of a call
			}
			u.r.add(CodeWhen, at, "%s", hintOf(e.Message, expr.s, e.Location.Column()))
			if strings.HasPrefix(e.Message, "Syntax error") {
				break // what the parser makes of the rest follows from it
			}
		}
		return len(issues.Errors()) > 0
	}
	read, issues, err := c.guards.read(expr.s)
	if err != nil {
		u.r.add(CodeWhen, expr.at, "Expressions can't be read here: %v.", err)
		return nil
	}
	if issues.Err() != nil && report(issues) {
		return nil
	}
	g := &guard{asks: map[string]ask{}, always: read.always}
	sound := true
	var questions []*decls.VariableDecl
	for _, q := range read.asked {
		if _, known := g.asks[q.name]; known {
			continue
		}
		at := place(q.at)
		at.col += 2 // a call's place is that of its parenthesis; the quote follows
		a, ok := bind(q.call, text{q.path, at})
		if sound = sound && ok; ok {
			g.asks[q.name], questions = a, append(questions, decls.NewVariable(q.name, a.typ))
		}
	}
	if !sound {
		return nil
	}
	checked, issues, err := c.guards.check(expr.s, questions)
	if issues.Err() != nil && report(issues) {
		return nil
	}
	if err != nil {
		u.r.add(CodeWhen, expr.at, "This expression can't be run: %v.", err)
		return nil
	}
	if checked.gives != cel.BoolType {
		u.r.add(CodeWhen, expr.at, "A guard gives true or false; this gives %s.", checked.gives)
		return nil
	}
	g.program = checked.program
	if read.alone {
		a := g.asks[read.asked[0].name]
		g.alone, g.not = &a, read.not
	}
	return g
}

// word is the one at the end of a text.
var word = regexp.MustCompile(`\w*$`)

func meantCall(name string) string {
	return meant(name, append([]string{"size", "startsWith", "endsWith", "contains", "matches"}, whenCalls...))
}

// askV2 binds a path of the v2 side. A number is a number where the field's type says so, all else is text.
func (c *compiler) askV2(u *unit, o *op, in *nest, call string, path text) (ask, bool) {
	if call == "labelled" {
		u.r.add(CodeWhen, path.at, "A label is a security label of the FHIR resource; v2 has none.")
		return ask{}, false
	}
	if call == "same" {
		u.r.add(CodeWhen, path.at, "same() compares FHIR elements; fields are compared by v() == v().")
		return ask{}, false
	}
	ref := c.v2Path(u, path, o.frame, in, false, true)
	if ref == nil {
		return ask{}, false
	}
	a := ask{call: call, v2: ref, typ: cel.StringType}
	switch {
	case call == "v" && (ref.many() || ref.field == 0):
		u.r.add(CodeWhen, path.at, "v() reads one field or part of it; has() and count() take several.")
		return ask{}, false
	case call == "v" && ref.typ == "NM":
		a.typ = cel.DoubleType
	case call == "v" && ref.typ == "SI":
		a.typ = cel.IntType
	}
	return a.answering(), true
}

// askFHIR binds a path of the FHIR side.
func (c *compiler) askFHIR(u *unit, in *nest, call string, path text) (ask, bool) {
	return c.asks(u, call, path, func(path text) *fhirRef { return c.fhirPath(u, path, in) })
}

// asks binds what a call asks of FHIR by its path.
func (c *compiler) asks(u *unit, call string, path text, bind func(path text) *fhirRef) (ask, bool) {
	if call == "labelled" {
		return ask{call: call, label: path.s, typ: cel.BoolType}, true
	}
	if one, two, ok := strings.Cut(path.s, between); ok {
		behind := path.at
		behind.col += len(one + between)
		first, other := bind(text{one, path.at}), bind(text{two, behind})
		return ask{call: call, fhir: first, other: other, typ: cel.BoolType}, first != nil && other != nil
	}
	ref := bind(path)
	if ref == nil {
		return ask{}, false
	}
	a := ask{call: call, fhir: ref, typ: cel.StringType}
	if call == "v" {
		if defs := c.defs.Type(ref.typ); ref.many() || defs == nil || defs.Kind != fhir.Primitive {
			u.r.add(CodeWhen, path.at, "v() reads one value; this is %s. has() and count() take anything.", ref.typ)
			return ask{}, false
		}
		switch ref.typ {
		case "boolean":
			a.typ = cel.BoolType
		case "integer", "positiveInt", "unsignedInt":
			a.typ = cel.IntType
		case "decimal":
			a.typ = cel.DoubleType
		}
	}
	return a.answering(), true
}

// answering is an ask with the type of what it answers.
func (a ask) answering() ask {
	switch a.call {
	case "has":
		a.typ = cel.BoolType
	case "count":
		a.typ = cel.IntType
	}
	return a
}

// answer turns what stands in the message into the value of an ask. A value that isn't there is an empty text; as a number
// or boolean it is an error, and the guard doesn't hold.
func (a ask) answer(found int, value string) any {
	switch {
	case a.call == "has" || a.call == "labelled":
		return found > 0
	case a.call == "count":
		return int64(found)
	case a.typ == cel.BoolType && (value == "true" || value == "false"):
		return value == "true"
	case a.typ == cel.IntType:
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			return n
		}
	case a.typ == cel.DoubleType:
		if x, err := strconv.ParseFloat(value, 64); err == nil {
			return x
		}
	case a.typ == cel.StringType:
		return value
	}
	return types.NewErr("no value")
}

// holds says whether a guard lets a rule run; look finds what it asks for.
func (g *guard) holds(look func(ask) any) bool {
	switch {
	case g == nil || g.always:
		return true
	case g.alone != nil:
		answer, ok := look(*g.alone).(bool)
		return ok && answer != g.not
	}
	out, _, err := g.program.Eval(asking{g, look})
	return err == nil && out == types.True
}

// asking answers an expression's questions as they come.
type asking struct {
	g    *guard
	look func(ask) any
}

func (a asking) ResolveName(name string) (any, bool) {
	q, known := a.g.asks[name]
	if !known {
		return nil, false
	}
	return a.look(q), true
}

func (asking) Parent() cel.Activation { return nil }

// answer looks into the v2 message.
func (f *forward) answer(a ask, at spot) any {
	if a.call == "v" {
		c, ok := f.one(a.v2, at)
		if !ok {
			return a.answer(0, "")
		}
		return a.answer(1, strings.TrimSpace(c.peek())) // as lenses read it
	}
	found := 0
	var buf [8]cell
	for _, c := range f.sources(a.v2, at, buf[:0]) {
		if c.field == 0 || c.filled() {
			found++
		}
	}
	return a.answer(found, "")
}

// peek is the first leaf's text, without counting it as read.
func (c cell) peek() string {
	for i := range c.seg.leaves {
		l := &c.seg.leaves[i]
		if l.field == c.field && l.rep == c.rep && !l.null && l.comp == max(c.comp, 1) && l.sub == max(c.sub, 1) {
			return l.text
		}
	}
	return ""
}

// answer looks into the Bundle.
func (r *reverse) answer(a ask, at back) any {
	if a.call == "labelled" {
		found := 0
		for n := at.inst.res.get("meta").get("security"); n != nil; n = n.follow() {
			if n.peek("code") == a.label {
				found++
			}
		}
		return a.answer(found, "")
	}
	nodes := r.at(a.fhir, at)
	if a.other != nil {
		return alike(nodes, r.at(a.other, at))
	}
	value := ""
	if len(nodes) > 0 {
		value = nodes[0].text
	}
	return a.answer(len(nodes), value)
}
