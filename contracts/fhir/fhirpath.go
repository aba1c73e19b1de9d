package fhir

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/gofhir/fhirpath"
	"github.com/gofhir/fhirpath/eval"
	"github.com/gofhir/fhirpath/funcs"
	"github.com/gofhir/fhirpath/types"

	"github.com/hoitosilta/silta/contracts"
)

// Expression is a compiled FHIRPath expression, for the invariants of profiles, the assertions of cases, and people at
// a terminal. It costs a thousand times a Path, so no message's way leads through one. It is immutable and may be shared.
//
// Sources: HL7 FHIRPath N1; HL7 FHIR R4, fhirpath.html.
type Expression struct {
	text     string
	compiled *fhirpath.Expression
	names    bool // it may name a variable: %resource
}

// CompileExpression reads an expression. The fault is of kind invalid. A function that FHIRPath doesn't have is found
// only when the expression is evaluated.
func CompileExpression(text string) (*Expression, error) {
	silenceTrace()
	compiled, err := compile(text)
	if err != nil {
		f := contracts.Faultf(contracts.Invalid, CodeExpression, "", "This is no FHIRPath expression%s.", wrongFrom(text, err))
		f.Err = err
		return nil, f
	}
	return &Expression{text, compiled, strings.Contains(text, "%")}, nil
}

// longestExpression is in bytes. The library reads an expression by recursion, and no one that means something is longer.
const longestExpression = 10_000

func compile(text string) (compiled *fhirpath.Expression, err error) {
	if len(text) > longestExpression {
		return nil, errors.New("too long")
	}
	defer func() {
		if r := recover(); r != nil { // the library's panics
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return fhirpath.Compile(text)
}

var libraryPlace = regexp.MustCompile(`line (\d+):(\d+)`)

// wrongFrom says where the library stopped reading, as far as it tells.
func wrongFrom(text string, err error) string {
	at := libraryPlace.FindStringSubmatch(err.Error())
	if at == nil {
		return ""
	}
	line, _ := strconv.Atoi(at[1])
	col, _ := strconv.Atoi(at[2])
	switch {
	case strings.Contains(text, "\n"):
		return fmt.Sprintf(": it can't be read from line %d, column %d on", line, col+1)
	case col >= utf8.RuneCountInString(text):
		return ": something is missing at its end"
	}
	return fmt.Sprintf(": it can't be read from column %d on", col+1)
}

// silenceTrace keeps trace(), which many published invariants hold, from writing what they look at to stderr.
var silenceTrace = sync.OnceFunc(func() { funcs.SetTraceLogger(funcs.NullTraceLogger{}) })

// String is the expression as it was written.
func (e *Expression) String() string { return e.text }

// Values evaluates the expression on a resource or an element. Each value is the root of a tree of its own: what the
// expression picks is given as JSON, what it computes as a string, a number or a boolean. The fault is of kind invalid.
func (e *Expression) Values(n Node) ([]Node, error) {
	found, err := e.evaluate(n, typeOf(n), NewBundle(resourceRoot(n)))
	if err != nil {
		return nil, err
	}
	values := make([]Node, len(found))
	for i, v := range found {
		t := &Tree{}
		root := t.Reset("")
		switch v := v.(type) {
		case *types.ObjectValue:
			if err := t.Parse(v.Data()); err != nil {
				return nil, err
			}
			root = t.Root()
		case types.Boolean:
			root.Put(Bool(v.Bool()))
		case types.Integer, types.Decimal:
			root.Put(Number(withoutZeros(v.String())))
		default:
			root.Put(String(v.String()))
		}
		values[i] = root
	}
	return values, nil
}

// withoutZeros drops the zeros in front of a number, which FHIRPath lets stand there and JSON doesn't.
func withoutZeros(number string) string {
	for len(number) > 1 && number[0] == '0' && isDigit(number[1]) {
		number = number[1:]
	}
	return number
}

// True says whether the expression holds for a resource or an element: its one value is true or, as the specification
// lets a collection stand for a boolean, it gives something else than nothing and false. An expression that can't be
// evaluated there is a fault of kind invalid.
func (e *Expression) True(n Node) (bool, error) {
	return e.holds(n, typeOf(n), NewBundle(resourceRoot(n)))
}

func (e *Expression) holds(n Node, typ *Type, b *Bundle) (bool, error) {
	found, err := e.evaluate(n, typ, b)
	if err != nil || len(found) == 0 {
		return false, err
	}
	if v, ok := found[0].(types.Boolean); ok && len(found) == 1 {
		return v.Bool(), nil
	}
	return true, nil
}

func (e *Expression) evaluate(n Node, typ *Type, b *Bundle) (found types.Collection, err error) {
	defer func() {
		if r := recover(); r != nil { // the library's panics, on expressions that nobody here wrote
			err = e.fault(fmt.Errorf("panic: %v", r))
		}
	}()
	resource := nearestResource(n)
	ctx := eval.NewContext(n.Append(nil))
	if n != resource {
		if typ != nil {
			ctx = ctx.WithThis(typed(n, typ))
			ctx.SetPath(typ.Name)
		}
	}
	if e.names {
		ctx.SetVariable("resource", collection(resource))
		ctx.SetVariable("rootResource", collection(container(resource)))
		ctx.SetVariable("context", ctx.This())
		ctx.SetVariable("ucum", types.Collection{types.NewString("http://unitsofmeasure.org")})
		ctx.SetVariable("sct", types.Collection{types.NewString("http://snomed.info/sct")})
		ctx.SetVariable("loinc", types.Collection{types.NewString("http://loinc.org")})
	}
	ctx.SetModel(pathModel{Definitions()})
	ctx.SetResolver(resolver{b, n})
	ctx.SetLimit("maxDepth", defaultDepth)
	found, err = e.compiled.EvaluateWithContext(ctx)
	if err != nil {
		return nil, e.fault(err)
	}
	return found, nil
}

// typed is a value as the library has it where the type is known.
func typed(n Node, typ *Type) types.Collection {
	if n.Kind() == KindObject {
		return types.Collection{types.NewObjectValueWithType(n.Append(nil), typ.Name)}
	}
	var v types.Value
	var err error
	switch typ.Name {
	case "date":
		v, err = types.NewDate(n.Text())
	case "dateTime", "instant":
		v, err = types.NewDateTime(n.Text())
	case "time":
		v, err = types.NewTime(n.Text())
	default:
		return collectionOf(n)
	}
	if err != nil {
		return collectionOf(n)
	}
	return types.Collection{v}
}

// collectionOf is a value as the library reads it from JSON.
func collectionOf(n Node) types.Collection {
	found, _ := types.JSONToCollection(n.Append(nil)) // a node is always JSON
	return found
}

// fault keeps the library's text out, since it may hold a value; the name of a function stands in the expression.
func (e *Expression) fault(cause error) error {
	f := contracts.Faultf(contracts.Invalid, CodeExpression, "", "The expression can't be evaluated here: what it reads isn't what it works on, or is several where it takes one.")
	var known *eval.EvalError
	if errors.As(cause, &known) && known.Type == eval.ErrFunctionNotFound {
		f.Public = "FHIRPath has no such function: " + known.Message[strings.IndexByte(known.Message, '\'')+1:]
		f.Public = strings.TrimSuffix(f.Public, "'") + "."
	}
	f.Err = cause
	return f
}

func collection(n Node) types.Collection {
	if !n.Exists() {
		return types.Collection{}
	}
	return types.Collection{types.NewObjectValue(n.Append(nil))}
}

// nearestResource is the resource that a node stands in, a contained one too; the root for none.
func nearestResource(n Node) Node {
	for ; ; n = n.Parent() {
		if up := n.Parent(); n.Get("resourceType").Exists() || !up.Exists() {
			return n
		}
	}
}

// container is the resource that contains a contained one, else the resource itself: %rootResource.
func container(resource Node) Node {
	if !resource.isContained() {
		return resource
	}
	return nearestResource(resource.Parent())
}

func resourceRoot(n Node) Node { return n.Tree().Root() }

// typeOf is the type of the element at n by its way from the resource; nil where the schema doesn't know it.
func typeOf(n Node) *Type {
	up := n.Parent()
	if rt := n.Type(); rt != "" || !up.Exists() {
		return Definitions().Type(rt)
	}
	if up.Kind() == KindArray {
		up, n = up.Parent(), up
	}
	_, t := typeOf(up).Member(elementName(n.Name()))
	return t
}

// resolver is FHIRPath's resolve() within what the expression is evaluated on.
type resolver struct {
	bundle *Bundle
	from   Node
}

func (r resolver) Resolve(_ context.Context, reference string) ([]byte, error) {
	found := r.bundle.resolve(r.from, reference)
	if !found.Exists() {
		return nil, errors.New("the reference leads out of the Bundle")
	}
	return found.Append(nil), nil
}

// pathModel tells the library what the schema knows.
type pathModel struct{ defs *Defs }

func (m pathModel) ChoiceTypes(path string) []string {
	if e, t := m.defs.Element(path); e != nil && e.Choice && t == nil {
		return e.Types
	}
	return nil
}

func (m pathModel) TypeOf(path string) string {
	if _, t := m.defs.Element(path); t != nil && t.Kind != Resource { // a resource says its own type
		return t.Name
	}
	return ""
}

func (m pathModel) ReferenceTargets(path string) []string {
	if e, _ := m.defs.Element(path); e != nil {
		return e.Targets
	}
	return nil
}

func (m pathModel) ParentType(name string) string {
	if t := m.defs.Type(name); t != nil {
		return t.Base
	}
	return ""
}

func (m pathModel) IsSubtype(child, parent string) bool {
	for t := m.defs.Type(child); t != nil; t = m.defs.Type(t.Base) {
		if t.Name == parent {
			return true
		}
	}
	return false
}

// ResolvePath gives an element within an element's inside as that of the type: the schema names the insides already.
func (m pathModel) ResolvePath(path string) string {
	up, name, ok := cutLast(path)
	if !ok || m.defs.Type(up) != nil {
		return path
	}
	if _, t := m.defs.Element(up); t != nil {
		return t.Name + "." + name
	}
	return path
}

func cutLast(path string) (before, name string, ok bool) {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

func (m pathModel) IsResource(name string) bool {
	t := m.defs.Type(name)
	return t != nil && t.Kind == Resource
}
