package mappings

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
)

// fhirResidue is what the rules of a map whose dialect is FHIR wouldn't bring back of one message: the difference between
// the message and the plain way back of its translation. Its unit is one element, as JSON; of a list, one item. As in the
// residue of a v2 message, digests of what the rules write tell what has been changed since, and a change wins.
type fhirResidue struct {
	Form string `json:"silta"`
	Map  string `json:"map"`
	FHIR bool   `json:"fhir"`
	// Of are the resources that the rules write: the root, then what stands beside it, by what references call them.
	Of []string `json:"of"`
	// Kept are the entries of the message, or what its root contains, in their order.
	Kept []keptResource `json:"kept,omitempty"`
	// Elements are those that differ, by their path: 2/contact(1)/name is in the second of Of, in the first contact that the
	// rules write.
	Elements map[string]*keptElement `json:"elements,omitempty"`
}

// keptResource is an entry of the message, or a resource that its root contains.
type keptResource struct {
	Of  int             `json:"of,omitempty"`  // the number in Fhir.Of, from 1; 0: the rules don't write it
	Raw json.RawMessage `json:"raw,omitempty"` // the whole entry; with Of, the entry without its resource
}

// keptElement is an element that the rules write otherwise than it stood.
type keptElement struct {
	Wrote []string        `json:"wrote,omitempty"` // digests of the element, or of the list's items, that the rules write
	Raw   json.RawMessage `json:"raw,omitempty"`   // as it stood; absent: it wasn't there
	Items []keptItem      `json:"items,omitempty"` // of a list whose items are paired
	List  bool            `json:"list,omitempty"`
}

// keptItem is an item of a list as it stood.
type keptItem struct {
	Of  int             `json:"of,omitempty"`  // the written item that it is, from 1; 0: the rules don't write it
	Raw json.RawMessage `json:"raw,omitempty"` // empty with Of: as written
}

// derivedURL is a name for a resource that stands for no canonical one.
func derivedURL(message string, s *site) string {
	return uuid.NewSHA1(namespace, []byte(message+"\x00"+s.of.from)).URN()
}

// fhirResidueIn gives the residue of a Bundle that this map may merge; another's is nil.
func (m *Map) fhirResidueIn(bundle *fhir.Tree) *fhirResidue {
	header := bundle.Root().Get("entry").At(0).Get("resource")
	text := fhir.Extension(header, residueURL).Get("valueString").Text()
	k := &fhirResidue{}
	if text == "" || json.Unmarshal([]byte(text), k) != nil || k.Form != residueForm || k.Map != m.root || !k.sound() {
		return nil
	}
	return k
}

// sound says whether all that a residue refers to is there: anybody may have written it.
func (k *fhirResidue) sound() bool {
	if !k.FHIR || len(k.Of) == 0 {
		return false
	}
	used := map[int]bool{}
	for _, e := range k.Kept {
		if !inRange(e.Of, 0, len(k.Of)) || e.Of == 0 && e.Raw == nil || used[e.Of] {
			return false
		}
		used[e.Of] = e.Of > 0
	}
	for _, e := range k.Elements {
		if e == nil {
			return false
		}
		used := map[int]bool{}
		for _, item := range e.Items {
			if !inRange(item.Of, 0, len(e.Wrote)) || item.Of == 0 && item.Raw == nil || used[item.Of] {
				return false
			}
			used[item.Of] = item.Of > 0
		}
	}
	return true
}

// keepFHIR puts into the Bundle what the rules don't bring back.
func (m *Map) keepFHIR(in *fhir.Tree, r *Result, c Context) {
	back, err := m.reverseFHIR(r.Bundle, c, nil)
	if err != nil {
		return // the way back parks, with the residue too
	}
	k := &fhirResidue{Form: residueForm, Map: m.root, FHIR: true, Elements: map[string]*keptElement{}}
	wrote, stood := partsOf(back.Dialect), partsOf(in)
	paired := m.pairResources(back, r, wrote, stood)
	for _, p := range wrote {
		k.Of = append(k.Of, p.url)
	}
	k.differ("1", stood[0].resource, wrote[0].resource, m.fhir.root.frame.defs, besideRoot)
	asWritten := len(stood) == len(wrote)
	for i, p := range stood[1:] {
		kept := keptResource{Of: paired[i+1]}
		switch {
		case kept.Of == 0:
			kept.Raw = p.whole.Append(nil)
		default:
			with := wrote[kept.Of-1]
			if raw := p.around(); raw != with.around() {
				kept.Raw = json.RawMessage(raw)
			}
			k.differ(itoa(kept.Of), p.resource, with.resource, fhir.Definitions().Type(p.resource.Type()), p.but())
		}
		asWritten = asWritten && kept.Of == i+2 && kept.Raw == nil
		k.Kept = append(k.Kept, kept)
	}
	if asWritten {
		k.Kept = nil
	}
	if k.Kept == nil && len(k.Elements) == 0 {
		return
	}
	text, err := json.Marshal(k)
	if err != nil {
		panic(err) // texts, numbers and JSON alone
	}
	if len(text) > mostResidue {
		f := contracts.Faultf(contracts.Loss, CodeDeclared, in.Root().Place(), "What no rule carries is too large to be kept beside the canonical message.")
		f.Grade = contracts.GradeWarning
		r.Findings = append(r.Findings, f)
		return
	}
	header := r.Bundle.Root().Get("entry").At(0).Get("resource")
	x := header.Array("extension").Push(fhir.Object())
	x.Add("url", fhir.String(residueURL))
	x.Add("valueString", fhir.String(string(text)))
	header.Order(fhir.Definitions().Type(header.Type()))
}

// besideRoot names the member under which other resources stand; it is no element of the root to compare.
const besideRoot = "entry"

// messagePart is a resource of a message: the root, one of an entry, or a contained one.
type messagePart struct {
	url      string // what references call it
	whole    fhir.Node
	resource fhir.Node
}

// partsOf gives the root and the resources beside it.
func partsOf(tree *fhir.Tree) []messagePart {
	root := tree.Root()
	list := []messagePart{{"", root, root}}
	for e := range root.Get("entry").Each() {
		list = append(list, messagePart{e.Get("fullUrl").Text(), e, e.Get("resource")})
	}
	if root.Type() != "Bundle" {
		for r := range root.Get("contained").Each() {
			list = append(list, messagePart{"#" + r.Get("id").Text(), r, r})
		}
	}
	return list
}

// but is the member that stands in what is around a resource: the id of a contained one.
func (p messagePart) but() string {
	if p.whole == p.resource {
		return "id"
	}
	return ""
}

// around is an entry without its resource, as JSON; of a contained resource, its id.
func (p messagePart) around() string {
	if p.whole == p.resource {
		return `{"id":` + string(fhirText(p.resource.Get("id"))) + `}`
	}
	t := &fhir.Tree{}
	root := t.Reset("")
	root.Get("resourceType").Remove()
	for c := range p.whole.Children() {
		if c.Name() != "resource" {
			root.Add(c.Name(), fhir.Null()).Copy(c)
		}
	}
	return string(root.Append(nil))
}

func fhirText(n fhir.Node) []byte {
	if !n.Exists() {
		return []byte("null")
	}
	return n.Append(nil)
}

// pairResources gives for each resource of the message the one that the rules write of it, from 1: what its leaves became
// in the canonical message is what that one is written from.
func (m *Map) pairResources(back, forth *Result, wrote, stood []messagePart) []int {
	became := map[uint32]map[uint32]int{} // canonical resource, by the resource of the message that it comes from
	count := func(of map[uint32]map[uint32]int, a, b fhir.Node) {
		if of[a.ID()] == nil {
			of[a.ID()] = map[uint32]int{}
		}
		of[a.ID()][b.ID()]++
	}
	for i := range forth.exchanged {
		if e := &forth.exchanged[i]; e.from.Exists() {
			count(became, partAt(e.from), partAt(e.to))
		}
	}
	writes := map[uint32]map[uint32]int{} // written resource, by canonical resource
	for i := range back.exchanged {
		if e := &back.exchanged[i]; e.from.Exists() {
			count(writes, partAt(e.from), partAt(e.to))
		}
	}
	number := map[uint32]int{}
	for i, p := range wrote {
		number[p.resource.ID()] = i + 1
	}
	paired, taken := make([]int, len(stood)), map[int]bool{}
	paired[0] = 1
	for i, p := range stood[1:] {
		best, most := 0, 0
		for canonical, leaves := range became[p.resource.ID()] {
			for written := range writes[canonical] {
				n := number[written]
				if n > 1 && !taken[n] && wrote[n-1].resource.Type() == p.resource.Type() && (leaves > most || leaves == most && n < best) {
					best, most = n, leaves
				}
			}
		}
		if best > 0 {
			paired[i+1], taken[best] = best, true
		}
	}
	for i, p := range stood { // no leaf says what these are: all that is written of them are links and constants
		for n := 1; n < len(wrote) && paired[i] == 0; n++ {
			if !taken[n+1] && wrote[n].resource.Type() == p.resource.Type() {
				paired[i], taken[n+1] = n+1, true
			}
		}
	}
	return paired
}

// partAt is the resource of a message that a node stands in.
func partAt(n fhir.Node) fhir.Node {
	for n.Parent().Exists() && n.Name() != "resource" && n.Parent().Name() != "contained" {
		n = n.Parent()
	}
	return n
}

// differ notes the elements of an object that the rules write otherwise than they stood.
func (k *fhirResidue) differ(at string, stood, wrote fhir.Node, typ *fhir.Type, but string) {
	for s := range stood.Children() {
		name := s.Name()
		if name == but || name == "contained" && at == "1" || name == "resourceType" {
			continue
		}
		k.element(at+"/"+stepName.Replace(name), s, wrote.Get(name), memberType(typ, name))
	}
	for w := range wrote.Children() {
		name := w.Name()
		if !stood.Get(name).Exists() && name != but && !(name == "contained" && at == "1") && name != "resourceType" {
			k.element(at+"/"+stepName.Replace(name), fhir.Node{}, w, memberType(typ, name))
		}
	}
}

func memberType(typ *fhir.Type, name string) *fhir.Type {
	if typ == nil {
		return nil
	}
	_, of := typ.Member(strings.TrimPrefix(name, "_"))
	return of
}

// composed says whether the elements of a type are compared one by one: the inside of a resource, which has no name of its
// own in the specification, but not a data type, which means something as a whole.
func composed(typ *fhir.Type) bool { return typ != nil && strings.Contains(typ.Name, ".") }

func (k *fhirResidue) element(at string, stood, wrote fhir.Node, typ *fhir.Type) {
	if stood.Exists() && wrote.Exists() && string(stood.Append(nil)) == string(wrote.Append(nil)) {
		return
	}
	list := stood.Kind() == fhir.KindArray || wrote.Kind() == fhir.KindArray
	switch {
	case list && stood.Exists() && wrote.Exists() && stood.Kind() == wrote.Kind():
		k.list(at, stood, wrote, typ)
	case stood.Kind() == fhir.KindObject && wrote.Kind() == fhir.KindObject && composed(typ):
		k.differ(at, stood, wrote, typ, "")
	default:
		e := &keptElement{Wrote: digests(wrote), List: list}
		if stood.Exists() {
			e.Raw = stood.Append(nil)
		}
		k.Elements[at] = e
	}
}

// A member may have any name: what parts a path is written otherwise in it.
var (
	stepName   = strings.NewReplacer("~", "~0", "/", "~1", "(", "~2")
	memberName = strings.NewReplacer("~0", "~", "~1", "/", "~2", "(")
)

// digests are those of an element, or of a list's items.
func digests(n fhir.Node) []string {
	var list []string
	switch n.Kind() {
	case fhir.KindAbsent:
	case fhir.KindArray:
		for item := range n.Each() {
			list = append(list, shortDigest(string(item.Append(nil))))
		}
	default:
		list = append(list, shortDigest(string(n.Append(nil))))
	}
	return list
}

// list pairs the items of a list: those that are alike, and between them the others where they are equally many.
func (k *fhirResidue) list(at string, stood, wrote fhir.Node, typ *fhir.Type) {
	e := &keptElement{Wrote: digests(wrote), List: true}
	was := itemsOf(stood)
	now := itemsOf(wrote)
	of := pairItems(digests(stood), e.Wrote)
	for i, item := range was {
		kept := keptItem{Of: of[i] + 1}
		switch raw := item.Append(nil); {
		case kept.Of == 0:
			kept.Raw = raw
		case string(raw) == string(now[of[i]].Append(nil)):
		case composed(typ):
			k.differ(at+"("+itoa(kept.Of)+")", item, now[of[i]], typ, "")
		default:
			kept.Raw = raw
		}
		e.Items = append(e.Items, kept)
	}
	k.Elements[at] = e
}

func itemsOf(n fhir.Node) []fhir.Node {
	var list []fhir.Node
	for item := range n.Each() {
		list = append(list, item)
	}
	return list
}

// pairItems gives for each of a the item of b that it is, or -1: equal ones in their order, and between two of those the
// others one by one, where they are equally many on both sides.
func pairItems(a, b []string) []int {
	of := align(a, b)
	i, low := 0, 0
	for i < len(a) {
		if of[i] >= 0 {
			low = of[i] + 1
			i++
			continue
		}
		end := i
		for end < len(a) && of[end] < 0 {
			end++
		}
		high := len(b)
		if end < len(a) {
			high = of[end]
		}
		if end-i == high-low {
			for n := i; n < end; n++ {
				of[n] = low + n - i
			}
		}
		i = end
	}
	return of
}

// merge puts what was kept between what the rules have written now.
func (k *fhirResidue) merge(res *Result) {
	m := &fhirMerger{k: k, res: res}
	now := partsOf(res.Dialect)
	tree := &fhir.Tree{}
	root := tree.Reset(now[0].resource.Type())
	m.object("1", root, now[0].resource, fhir.Definitions().Type(now[0].resource.Type()), besideRoot)
	m.resources(root, now)
	root.Order(nil)
	m.rename(root)
	for i := range res.exchanged {
		e := &res.exchanged[i]
		if path, err := fhir.CompilePath(pathIn(e.to)); err == nil {
			if n := path.Get(root); n.Exists() {
				e.to = n
			}
		}
	}
	res.Dialect = tree
}

// pathIn is a node's path within its resource's root.
func pathIn(n fhir.Node) string {
	_, path, _ := strings.Cut(n.Place(), ".")
	return path
}

type fhirMerger struct {
	k     *fhirResidue
	res   *Result
	names [][2]string // what the rules call a resource, and what the message called it
}

// dropped tells that something kept isn't put back.
func (m *fhirMerger) dropped(at fhir.Node) {
	f := contracts.Faultf(contracts.Loss, CodeResidue, at.Place(), "What was kept of this isn't put back, since it has been changed or taken away.")
	f.Grade = contracts.GradeNote
	m.res.Findings = append(m.res.Findings, f)
}

// resources writes the resources beside the root in the order in which they stood, new ones behind.
func (m *fhirMerger) resources(root fhir.Node, now []messagePart) {
	if len(now) == 1 && len(m.k.Kept) == 0 {
		return
	}
	name := besideRoot
	if root.Type() != "Bundle" {
		name = "contained"
	}
	list := root.Array(name)
	kept := m.k.Kept
	if kept == nil {
		for i := range m.k.Of[1:] {
			kept = append(kept, keptResource{Of: i + 2})
		}
	}
	used := make([]bool, len(now))
	used[0] = true
	for _, e := range kept {
		if e.Of == 0 {
			put(list.Push(fhir.Null()), e.Raw)
			continue
		}
		i := slices.IndexFunc(now, func(p messagePart) bool { return p.url == m.k.Of[e.Of-1] })
		if i < 1 || used[i] {
			continue // it is gone, and all of it with it
		}
		used[i] = true
		m.resource(list.Push(fhir.Object()), now[i], itoa(e.Of), e.Raw)
	}
	for i, p := range now {
		if !used[i] {
			list.Push(fhir.Null()).Copy(p.whole)
		}
	}
	if list.Len() == 0 {
		list.Remove()
	}
}

func (m *fhirMerger) resource(to fhir.Node, p messagePart, at string, raw json.RawMessage) {
	typ := fhir.Definitions().Type(p.resource.Type())
	if p.whole == p.resource {
		to.Add("resourceType", fhir.String(typ.Name))
		m.object(at, to, p.resource, typ, "id")
		id := p.resource.Get("id").Text()
		if wrapped, err := fhir.Parse(raw); raw != nil && err == nil {
			id = wrapped.Root().Get("id").Text()
		}
		if id != "" {
			to.Set("id", fhir.String(id))
		}
		m.names = append(m.names, [2]string{p.url, "#" + id})
		to.OrderMembers(typ)
		return
	}
	for c := range p.whole.Children() {
		if c.Name() != "resource" && raw == nil {
			to.Add(c.Name(), fhir.Null()).Copy(c)
		}
	}
	if raw != nil {
		put(to, raw)
	}
	resource := to.Add("resource", fhir.Object())
	resource.Add("resourceType", fhir.String(typ.Name))
	m.object(at, resource, p.resource, typ, p.but())
	to.OrderMembers(fhir.Definitions().Type("Bundle.entry"))
	if url := to.Get("fullUrl").Text(); url != p.url {
		if url == "" {
			url = resource.Type() + "/" + resource.Get("id").Text()
		}
		m.names = append(m.names, [2]string{p.url, url})
	}
}

// put gives a node a value that was kept.
func put(n fhir.Node, raw json.RawMessage) {
	if t, err := fhir.Parse(append(append([]byte(`{"value":`), raw...), '}')); err == nil {
		n.Copy(t.Root().Get("value"))
	}
}

// object writes the elements of an object: as they stood where the rules write them as they did then.
func (m *fhirMerger) object(at string, to, now fhir.Node, typ *fhir.Type, but string) {
	for n := range now.Children() {
		name := n.Name()
		if name == but || name == "contained" && at == "1" || name == "resourceType" {
			continue
		}
		m.element(at+"/"+stepName.Replace(name), to, name, n, memberType(typ, name))
	}
	for _, path := range m.k.under(at) {
		e, name := m.k.Elements[path], memberName.Replace(path[len(at)+1:])
		if now.Get(name).Exists() || name == but || e.Raw == nil || len(e.Wrote) > 0 {
			continue
		}
		if plain, ok := strings.CutPrefix(name, "_"); ok && m.changed(at+"/"+stepName.Replace(plain), now.Get(plain)) {
			m.dropped(now)
			continue
		}
		put(to.Add(name, fhir.Null()), e.Raw)
	}
	to.OrderMembers(typ)
}

// changed says whether the rules write an element otherwise than they did. Of one that isn't in the residue nothing is known
// but that it was written as it stood.
func (m *fhirMerger) changed(path string, now fhir.Node) bool {
	e := m.k.Elements[path]
	return e != nil && !slices.Equal(e.Wrote, digests(now)) || !now.Exists()
}

// under are the paths of the elements directly in an object, in the order of their names.
func (k *fhirResidue) under(at string) []string {
	var list []string
	for path := range k.Elements {
		if rest, ok := strings.CutPrefix(path, at+"/"); ok && !strings.ContainsAny(rest, "/(") {
			list = append(list, path)
		}
	}
	slices.Sort(list)
	return list
}

func (m *fhirMerger) element(at string, to fhir.Node, name string, now fhir.Node, typ *fhir.Type) {
	e := m.k.Elements[at]
	switch {
	case e == nil && now.Kind() == fhir.KindObject && composed(typ):
		m.object(at, to.Add(name, fhir.Object()), now, typ, "")
	case e == nil:
		to.Add(name, fhir.Null()).Copy(now)
	case e.Items != nil && now.Kind() == fhir.KindArray:
		m.list(at, to.Add(name, fhir.Array()), e, now, typ)
	case slices.Equal(e.Wrote, digests(now)):
		if e.Raw != nil {
			put(to.Add(name, fhir.Null()), e.Raw)
		}
	default:
		m.dropped(now)
		to.Add(name, fhir.Null()).Copy(now)
	}
}

// list puts the items of a list back between those that are written now.
func (m *fhirMerger) list(at string, to fhir.Node, e *keptElement, now fhir.Node, typ *fhir.Type) {
	items := itemsOf(now)
	current := digests(now)
	of := pairItems(e.Wrote, current)
	used := make([]bool, len(items))
	next := 0
	flush := func(before int) {
		for ; next < before; next++ {
			if !used[next] && !slices.Contains(of, next) {
				used[next] = true
				to.Push(fhir.Null()).Copy(items[next])
			}
		}
	}
	for _, item := range e.Items {
		if item.Of == 0 {
			put(to.Push(fhir.Null()), item.Raw)
			continue
		}
		if of[item.Of-1] < 0 {
			continue // it is gone
		}
		i := of[item.Of-1]
		flush(i)
		used[i] = true
		same := e.Wrote[item.Of-1] == current[i]
		switch {
		case item.Raw != nil && same:
			put(to.Push(fhir.Null()), item.Raw)
		case composed(typ):
			m.object(at+"("+itoa(item.Of)+")", to.Push(fhir.Object()), items[i], typ, "")
		default:
			if item.Raw != nil {
				m.dropped(items[i])
			}
			to.Push(fhir.Null()).Copy(items[i])
		}
	}
	flush(len(items))
}

// rename lets references that the rules write lead to where the message has its resources.
func (m *fhirMerger) rename(n fhir.Node) {
	for c := range n.Children() {
		if c.Kind() >= fhir.KindArray {
			m.rename(c)
			continue
		}
		for _, names := range m.names {
			if c.Name() == "reference" && c.Text() == names[0] && names[1] != names[0] {
				c.Put(fhir.String(names[1]))
				break
			}
		}
	}
}
