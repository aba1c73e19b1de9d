package embedded

import (
	"bytes"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// disk stands under SQLite and under the folder of bodies and knows what a power cut would leave: of each file the
// bytes as of its last sync, under the names as of their folder's last sync.
type disk struct {
	mu     sync.Mutex
	files  map[string]*file // SQLite's, by path
	bodies []body           // others, as of their sync
	names  map[string]os.FileInfo
	synced func() // called at each sync of SQLite's, before it takes effect
}

// file is one of SQLite's: what is durable, and what was written since.
type file struct {
	durable []byte
	since   []change
}

// change is a write at a position, or a truncation to it.
type change struct {
	at    int64
	bytes []byte // nil: truncate
}

type body struct {
	info  os.FileInfo
	bytes []byte
}

func (c change) apply(b []byte) []byte {
	end := c.at + int64(len(c.bytes))
	if c.bytes == nil {
		return b[:min(c.at, int64(len(b)))]
	}
	if end > int64(len(b)) {
		b = append(b, make([]byte, end-int64(len(b)))...)
	}
	copy(b[c.at:], c.bytes)
	return b
}

// cut gives the files that a power cut would leave now, by path. With some, each write since the last sync has
// reached the disk or not, as some says; else none has.
func (d *disk) cut(some *rand.Rand) map[string][]byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	left := map[string][]byte{}
	for path, f := range d.files {
		b := bytes.Clone(f.durable)
		for _, c := range f.since {
			if some != nil && some.IntN(2) == 0 {
				b = c.apply(b)
			}
		}
		left[path] = b
	}
	for path, info := range d.names {
		if _, sqlite := d.files[path]; !sqlite && !info.IsDir() {
			left[path] = nil
			for _, b := range d.bodies {
				if os.SameFile(b.info, info) {
					left[path] = b.bytes
				}
			}
		}
	}
	maps.DeleteFunc(left, func(path string, _ []byte) bool {
		// The WAL's name is made durable by SQLite itself, together with its first sync.
		return d.names[path] == nil && !strings.HasSuffix(path, "-wal")
	})
	return left
}

// sync is what the bus calls for files and folders of its own.
func (d *disk) sync(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !info.IsDir() {
		b, err := os.ReadFile(f.Name())
		d.bodies = append(d.bodies, body{info, b})
		return err
	}
	entries, err := f.Readdir(-1)
	if err != nil && err != io.EOF {
		return err
	}
	maps.DeleteFunc(d.names, func(path string, _ os.FileInfo) bool { return filepath.Dir(path) == f.Name() })
	for _, e := range entries {
		d.names[filepath.Join(f.Name(), e.Name())] = e
	}
	return nil
}

// The VFS "recorder" is the system's own, with each write, truncation and sync told to theDisk.
var (
	theDisk *disk
	opened  sync.Map // SQLite's file (uintptr) → *handle
	tables  sync.Map // the system's table of methods (uintptr) → ours (uintptr)
)

// handle is an open file of SQLite's.
type handle struct {
	path   string
	system *sqlite3.Tsqlite3_io_methods
}

// record makes d the disk of all files that the VFS "recorder" opens from now on.
func record(d *disk) { theDisk = d }

func newDisk() *disk {
	return &disk{files: map[string]*file{}, names: map[string]os.FileInfo{}, synced: func() {}}
}

// registerRecorder makes the VFS known to SQLite, once.
var registerRecorder = sync.OnceFunc(func() {
	tls := libc.NewTLS()
	system := at[sqlite3.Tsqlite3_vfs](sqlite3.Xsqlite3_vfs_find(tls, 0))
	ours := allocate[sqlite3.Tsqlite3_vfs](tls)
	recorder := at[sqlite3.Tsqlite3_vfs](ours)
	*recorder = *system
	name, err := libc.CString("recorder")
	if err != nil {
		panic(err)
	}
	recorder.FpNext, recorder.FzName = 0, name
	open := function[func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32](system.FxOpen)
	recorder.FxOpen = pointer(func(tls *libc.TLS, vfs, name, f uintptr, flags int32, out uintptr) int32 {
		rc := open(tls, vfs, name, f, flags, out)
		if rc == sqlite3.SQLITE_OK && name != 0 {
			watch(tls, f, libc.GoString(name))
		}
		return rc
	})
	if rc := sqlite3.Xsqlite3_vfs_register(tls, ours, 0); rc != sqlite3.SQLITE_OK {
		panic("the VFS isn't registered")
	}
})

// watch puts our methods before those of a file that was just opened.
func watch(tls *libc.TLS, f uintptr, path string) {
	methods := &at[sqlite3.Tsqlite3_file](f).FpMethods
	system := at[sqlite3.Tsqlite3_io_methods](*methods)
	ours, known := tables.Load(*methods)
	if !known {
		made := allocate[sqlite3.Tsqlite3_io_methods](tls)
		table := at[sqlite3.Tsqlite3_io_methods](made)
		*table = *system
		table.FxWrite, table.FxTruncate, table.FxSync = writeMethod, truncateMethod, syncMethod
		ours, _ = tables.LoadOrStore(*methods, made)
	}
	opened.Store(f, &handle{path, system})
	*methods = ours.(uintptr)
	theDisk.mu.Lock()
	defer theDisk.mu.Unlock()
	if theDisk.files[path] == nil {
		theDisk.files[path] = &file{}
	}
}

var (
	writeMethod = pointer(func(tls *libc.TLS, f, buf uintptr, n int32, offset int64) int32 {
		h := handleOf(f)
		written := bytes.Clone(unsafe.Slice(at[byte](buf), n))
		rc := function[func(*libc.TLS, uintptr, uintptr, int32, int64) int32](h.system.FxWrite)(tls, f, buf, n, offset)
		h.changed(change{offset, written})
		return rc
	})
	truncateMethod = pointer(func(tls *libc.TLS, f uintptr, size int64) int32 {
		h := handleOf(f)
		rc := function[func(*libc.TLS, uintptr, int64) int32](h.system.FxTruncate)(tls, f, size)
		h.changed(change{size, nil})
		return rc
	})
	syncMethod = pointer(func(tls *libc.TLS, f uintptr, flags int32) int32 {
		h := handleOf(f)
		theDisk.synced()
		theDisk.mu.Lock()
		defer theDisk.mu.Unlock()
		file := theDisk.files[h.path]
		for _, c := range file.since {
			file.durable = c.apply(file.durable)
		}
		file.since = nil
		return sqlite3.SQLITE_OK // the real disk may keep its own pace
	})
)

func (h *handle) changed(c change) {
	theDisk.mu.Lock()
	defer theDisk.mu.Unlock()
	f := theDisk.files[h.path]
	f.since = append(f.since, c)
}

func handleOf(f uintptr) *handle {
	h, _ := opened.Load(f)
	return h.(*handle)
}

// allocate gives room for a T that SQLite may do its arithmetic on; it is never freed.
func allocate[T any](tls *libc.TLS) uintptr {
	var t T
	p := libc.Xcalloc(tls, 1, libc.Tsize_t(unsafe.Sizeof(t)))
	if p == 0 {
		panic("no memory")
	}
	return p
}

// at sees the memory at an address as a T.
func at[T any](address uintptr) *T { return *(**T)(unsafe.Pointer(&address)) }

// function and pointer turn a C function pointer of the translated SQLite into a Go function and back: it is the
// address of a Go function value.
func function[F any](p uintptr) F { return *(*F)(unsafe.Pointer(&p)) }

func pointer[F any](f F) uintptr {
	functions = append(functions, f)
	return *(*uintptr)(unsafe.Pointer(&f))
}

var functions []any // keeps them alive
