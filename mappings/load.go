package mappings

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"maps"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/hl7v2"
)

// Load reads and compiles a catalog from layers, each laid out as Embedded is. A later layer adds maps, blocks and code
// maps; what an earlier one has under the same name and version must be the same. The error is contracts.Faults: every fault of
// every file, with line and column. A layer without the folders is empty; a catalog without any map is a fault.
//
// Where the first layer is Embedded, it is read once in a process, and a map of it is compiled for a version when a message
// first needs that: it has no faults, or Silta's tests fail. Check compiles it all.
func Load(layers ...fs.FS) (*Catalog, error) {
	c, faults := LoadSound(layers...)
	if err := faults.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

// LoadSound is Load that goes on where files have faults, without what can't be read of them: for checking one file beside
// others that aren't done yet. The Faults are what Load would say, warnings too.
func LoadSound(layers ...fs.FS) (*Catalog, contracts.Faults) {
	c, more := newCatalog(), layers
	if len(layers) > 0 && layers[0] == fs.FS(Embedded) {
		c, more = builtIn().copy(), layers[1:]
	}
	own := c.read(more)
	compileAll(own)
	c.layers = layers
	c.maps = slices.Clone(c.inOrder)
	slices.SortFunc(c.maps, func(a, b *Map) int {
		if a.doc.id.s != b.doc.id.s {
			return strings.Compare(a.doc.id.s, b.doc.id.s)
		}
		if newer(a.semver(), b.semver()) {
			return -1
		}
		return 1
	})
	for _, layer := range layers {
		c.checkLock(c.files, layer)
	}
	faults := c.files.faults(own)
	if len(c.bases) == 0 {
		faults = append(faults, contracts.Faultf(contracts.Invalid, CodeCatalogLayout, "catalog", "There is no map under catalog/ID/VERSION/map.yaml."))
	}
	return c, faults
}

// builtIn is what Load makes of Embedded, before anything is compiled.
var builtIn = sync.OnceValue(func() *Catalog {
	c := newCatalog()
	for _, m := range c.read([]fs.FS{Embedded}) {
		m.builtIn = true
	}
	c.files.builtIn = len(c.files.list)
	return c
})

func newCatalog() *Catalog {
	return &Catalog{files: &reporterSet{},
		shelf: shelf{bases: map[string]*source{}, blocks: map[string]*source{}, concepts: map[string]*codeMap{}, guards: &expressions{}}}
}

// copy is a catalog that more can be read into. The programs of the maps are shared.
func (c *Catalog) copy() *Catalog {
	d := &Catalog{files: &reporterSet{slices.Clone(c.files.list), c.files.builtIn},
		shelf: shelf{bases: maps.Clone(c.bases), blocks: maps.Clone(c.blocks), concepts: maps.Clone(c.concepts), guards: &expressions{}}}
	for _, m := range c.inOrder {
		own := *m // a layer's lock file may say that it is published
		d.inOrder = append(d.inOrder, &own)
	}
	return d
}

// read reads layers and gives their maps, which nothing has compiled yet.
func (c *Catalog) read(layers []fs.FS) []*Map {
	var sources []*source
	layerOf := map[*source]fs.FS{}
	for _, layer := range layers {
		readConceptMaps(c.files, layer, c.concepts)
		for _, src := range readSources(c.files, layer) {
			name := src.doc.id.s + "@" + src.doc.version.s
			if src.doc.block {
				if other, known := c.blocks[name]; known {
					mustEqual(src.r, src.doc.version.at, bytes.Equal(src.data, other.data), name)
				} else {
					c.blocks[name] = src
				}
				continue
			}
			if other, known := c.bases[name]; known {
				mustEqual(src.r, src.doc.version.at, bytes.Equal(src.data, other.data), name)
				continue
			}
			sources, c.bases[name] = append(sources, src), src
			layerOf[src] = layer
		}
	}
	var list []*Map
	for _, src := range sources {
		src.extend(c.bases, c.blocks)
		if src.broken || src.usesBroken(c.blocks) {
			continue
		}
		m := newMap(src, c.shelf)
		m.layer = layerOf[src]
		list = append(list, m)
	}
	c.inOrder = append(c.inOrder, list...)
	return list
}

// readSources reads catalog/ID/VERSION/{map,block}.yaml of a layer, in the order of their names.
func readSources(set *reporterSet, layer fs.FS) []*source {
	var list []*source
	for _, name := range []string{"block.yaml", "map.yaml"} {
		files, err := fs.Glob(layer, "catalog/*/*/"+name)
		if err != nil {
			continue
		}
		for _, file := range files {
			data, err := fs.ReadFile(layer, file)
			if err != nil {
				set.file(file).add(CodeCatalogLayout, pos{line: 1, col: 1}, "The file can't be read.")
				continue
			}
			src := parse(set.file(file), data)
			src.dir = path.Dir(file)
			if src.broken {
				src.doc = named(src.dir, name == "block.yaml") // what stands on it or uses it has no fault by that
				list = append(list, src)
				continue
			}
			if want := "catalog/" + src.doc.id.s + "/" + src.doc.version.s; want != src.dir {
				src.r.add(CodeCatalogLayout, src.doc.id.at, "The file says another id or version than its folder.")
			}
			if src.doc.block != (name == "block.yaml") {
				src.r.add(CodeCatalogLayout, pos{line: 1, col: 1}, "A map stands in map.yaml, a block in block.yaml.")
			}
			list = append(list, src)
		}
	}
	return list
}

// named is an empty document of the id and version that a folder says.
func named(dir string, block bool) *document {
	id, version := path.Split(dir)
	return &document{id: text{s: path.Base(id)}, version: text{s: version}, block: block}
}

func parse(r *reporter, data []byte) *source {
	sum := sha256.Sum256(data)
	src := &source{root: readYAML(r, data), r: r, data: data, digest: hex.EncodeToString(sum[:])}
	if src.broken = src.root == nil; src.broken {
		src.doc = &document{}
	} else if src.wanted = src.root.get("extends") != nil; src.wanted {
		src.doc = decodeHead(r, src.root) // the rest means something on its base alone
	} else {
		src.doc = decode(r, src.root)
	}
	return src
}

// CompileFile compiles one map file against the catalog's blocks and code maps, for checking it. name is how faults
// call it. The Faults are all of the file's, warnings too; the Map is nil if one of them is an error. A block is only
// read, since its paths mean something in a map alone; the Map is nil then too.
func (c *Catalog) CompileFile(name string, data []byte) (*Map, contracts.Faults) {
	src := parse(&reporter{file: name}, data)
	src.extend(c.bases, c.blocks)
	if src.broken && len(src.r.faults) == 0 {
		src.r.add(CodeOverlay, decoder{src.r, "v2"}.text(src.root.get("extends")).at, "What this extends has faults of its own: mend those first.")
	}
	unread := len(src.r.faults) > 0 && contracts.Faults(src.r.faults).Err() != nil
	if src.broken || src.doc.block || unread && !src.doc.id.set() {
		return nil, src.r.once()
	}
	from := c.shelf
	from.guards = &expressions{} // the catalog's would keep these as long as it lives
	m := newMap(src, from)
	compileAll([]*Map{m})
	faults := src.r.with([]*Map{m}).once()
	if faults.Err() != nil {
		return nil, faults
	}
	return m, faults
}

// newMap is a map whose editions aren't compiled yet. Its Faults are told with those of its editions.
func newMap(src *source, from shelf) *Map {
	m := &Map{doc: src.doc, root: src.rootID(), dir: src.dir, editions: map[string]func() *edition{}, told: told{}}
	r := m.told.of(src.r)
	if m.FHIR() {
		m.fhir = compileDialect(src, from, m.told)
	} else {
		m.versions = versionRange(src.doc, r)
	}
	for _, v := range m.versions {
		m.editions[v] = sync.OnceValue(func() *edition { return compileVersion(src, from, m.versions, v) })
	}
	m.local, _ = time.LoadLocation("Europe/Helsinki")
	if z := src.doc.v2.zone; z.set() {
		zone, err := time.LoadLocation(z.s)
		if err != nil {
			r.add(CodeType, z.at, "There is no time zone of that name.")
		} else {
			m.local = zone
		}
	}
	m.pins = pins(src, from)
	m.name(src, lensSet)
	if src.base != nil {
		m.extends = src.base.doc.id.s + "@" + src.base.doc.version.s
	}
	return m
}

// compileAll compiles maps for all of their versions, on all processors.
func compileAll(list []*Map) {
	left := make(chan func() *edition)
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			for compile := range left {
				compile()
			}
		})
	}
	for _, m := range list {
		for _, v := range m.versions {
			left <- m.editions[v]
		}
	}
	close(left)
	wait.Wait()
}

// usesBroken says whether the file uses a block that can't be read: what it says about the rest may be wrong.
func (src *source) usesBroken(blocks map[string]*source) bool {
	return slices.ContainsFunc(src.doc.uses, func(u useDef) bool {
		b := blocks[u.block.s]
		return b != nil && b.broken
	})
}

// mustEqual refuses a file that says something else than one of an earlier layer under the same name and version:
// which of the two is meant can't be guessed, and ignoring an edit would be the worst guess.
func mustEqual(r *reporter, at pos, equal bool, name string) {
	if !equal {
		r.add(CodeDuplicate, at, "%s is in the catalog already, with other content. Give this one a new version; if you changed what is built in, build again.", name)
	}
}

// versionRange lists the dictionary versions that the map is for: exact ones and a..b.
func versionRange(doc *document, r *reporter) []string {
	all := hl7v2.Versions()
	if len(doc.v2.versions) == 0 {
		r.add(CodeType, at(doc.v2.at, pos{line: 1, col: 1}), "The map doesn't say its versions, such as [\"2.3..2.8\"].")
		return nil
	}
	in := map[string]bool{}
	for _, t := range doc.v2.versions {
		from, to, isRange := strings.Cut(t.s, "..")
		if !isRange {
			to = from
		}
		if !has(all, from) || !has(all, to) {
			r.add(CodeVersion, t.at, "The HL7 versions are %s, and ranges of them such as %s..%s.", strings.Join(all, ", "), all[0], all[len(all)-1])
			continue
		}
		if !hl7v2.VersionAtLeast(to, from) {
			r.add(CodeVersion, t.at, "This range of versions is empty: it begins behind its end.")
			continue
		}
		for _, v := range all {
			if hl7v2.VersionAtLeast(v, from) && hl7v2.VersionAtLeast(to, v) {
				in[v] = true
			}
		}
	}
	var list []string
	for _, v := range all {
		if in[v] {
			list = append(list, v)
		}
	}
	return list
}
