package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/hoitosilta/silta/adapters/mllp"
	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/fhir"
	"github.com/hoitosilta/silta/hub"
	"github.com/hoitosilta/silta/mappings"
)

// settings is silta.yaml. Paths in it are relative to the file's own directory.
type settings struct {
	Silta       string           `yaml:"silta"`       // config/v1
	Dir         string           `yaml:"dir"`         // bus.db, ledger.db and what belongs to them; data
	Development bool             `yaml:"development"` // show needs no reason
	SecretFile  string           `yaml:"secretFile"`  // at least 32 random bytes; secrets/hub.secret
	Partners    string           `yaml:"partners"`    // the contracts; contracts/partners
	Mappings    string           `yaml:"mappings"`    // lies over the built-in catalog, if it is there; mappings
	Lanes       int              `yaml:"lanes"`       // keys worked at once, a topic; 32
	Bus         string           `yaml:"bus"`         // embedded, or kafka://HOST:PORT,HOST:PORT,…; embedded
	Ledger      string           `yaml:"ledger"`      // embedded, or postgres://USER@HOST:PORT/DATABASE; embedded
	Kafka       kafkaSettings    `yaml:"kafka"`
	Postgres    postgresSettings `yaml:"postgres"`
	Console     consoleSettings  `yaml:"console"`
	FHIR        fhirSettings     `yaml:"fhir"`
	Log         logSettings      `yaml:"log"`
	Stop        time.Duration    `yaml:"stop"`   // within which the process ends when it is told to; 30s
	Backup      string           `yaml:"backup"` // a directory under which copies may be written; none
	Keep        keepSettings     `yaml:"keep"`
	Telemetry   tracing          `yaml:"telemetry"`

	home string // the directory of silta.yaml
	weak bool   // topics may have fewer replicas than a production needs
}

type consoleSettings struct {
	Listen    string `yaml:"listen"`    // 127.0.0.1:8080
	TokenFile string `yaml:"tokenFile"` // the operators' bearer token; secrets/operator.token
}

type fhirSettings struct {
	Listen   string   `yaml:"listen"`   // all FHIR doors share it; 127.0.0.1:8081
	Packages []string `yaml:"packages"` // FHIR packages, folders or .tgz; none
	URL      string   `yaml:"url"`      // by which partners reach the doors, where a proxy stands before them: https://host/fhir; as they ask for them
}

type logSettings struct {
	Level  string `yaml:"level"`  // error, warn, info or debug; info
	Format string `yaml:"format"` // text or json; text
}

// keepSettings say how long things are kept; 0 is for ever.
type keepSettings struct {
	Messages time.Duration `yaml:"messages"` // bytes on the bus, once everybody is done with them; 0
	Ledger   time.Duration `yaml:"ledger"`   // what is known of messages that are settled; 0
}

// tracing says where spans go; nowhere, unless it or the OTEL_ environment names a collector.
type tracing struct {
	OTLP   string  `yaml:"otlp"`   // http://host:4318
	Sample float64 `yaml:"sample"` // the part of traces begun here that is kept; 1
}

func defaultSettings(home string) settings {
	return settings{
		Silta: "config/v1", Dir: "data", SecretFile: "secrets/hub.secret", Partners: "contracts/partners", Mappings: "mappings",
		Lanes: 32,
		Bus:   embeddedStore, Ledger: embeddedStore, Kafka: kafkaSettings{Names: hubTopics, Partitions: 12},
		Console: consoleSettings{Listen: "127.0.0.1:8080", TokenFile: "secrets/operator.token"},
		FHIR:    fhirSettings{Listen: "127.0.0.1:8081"},
		Log:     logSettings{Level: "info", Format: "text"},
		Stop:    30 * time.Second, Telemetry: tracing{Sample: 1},
		home: home,
	}
}

// readSettings reads silta.yaml. All its faults come at once; with them comes what could be read, for checking the rest.
func readSettings(file string) (settings, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return settings{}, err
	}
	home, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return settings{}, err
	}
	s := defaultSettings(home)
	s.Silta = ""
	doc, faults := contracts.DecodeYAML(file, b, &s)
	if len(faults) == 0 {
		faults = s.check(file, doc)
	}
	s.weak = s.Development
	if err := faults.Err(); err != nil {
		return s, configuration{err}
	}
	return s, nil
}

// leastKept is the shortest time for which anything is kept: long enough for a partner's long weekend.
const leastKept = 7 * 24 * time.Hour

func (s *settings) check(file string, doc *contracts.YAML) contracts.Faults {
	var faults contracts.Faults
	fault := func(key, format string, args ...any) {
		line, col := doc.Position(key)
		faults = append(faults, &contracts.Fault{Kind: contracts.Invalid, Code: "CFG-040", File: file, Line: line, Col: col, Public: fmt.Sprintf(format, args...)})
	}
	if s.Silta != "config/v1" {
		fault("silta", "A configuration begins with `silta: config/v1`.")
	}
	for _, a := range []struct{ key, address string }{{"console.listen", s.Console.Listen}, {"fhir.listen", s.FHIR.Listen}} {
		if _, _, err := net.SplitHostPort(a.address); err != nil {
			fault(a.key, "An address is host:port.")
		}
	}
	if s.Console.Listen == s.FHIR.Listen {
		fault("fhir.listen", "The console has the same address.")
	}
	if u, err := url.Parse(s.FHIR.URL); s.FHIR.URL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "") {
		fault("fhir.url", "The doors have an http or https address, without a query.")
	}
	if s.Lanes < 1 || s.Lanes > 4096 {
		fault("lanes", "Between 1 and 4096 lanes.")
	}
	if _, err := logrus.ParseLevel(s.Log.Level); err != nil {
		fault("log.level", "The level is error, warn, info or debug.")
	}
	s.checkStores(fault)
	if s.Log.Format != "text" && s.Log.Format != "json" {
		fault("log.format", "The format is text or json.")
	}
	if s.Stop < time.Second {
		fault("stop", "The process gets at least 1s to end.")
	}
	if k := s.Keep; k.Messages < 0 || k.Ledger < 0 || k.Messages > 0 && k.Messages < leastKept || k.Ledger > 0 && k.Ledger < leastKept {
		fault("keep", "Things are kept for at least %s, or for ever (0).", leastKept)
	}
	if t := s.Telemetry; t.Sample < 0 || t.Sample > 1 {
		fault("telemetry.sample", "The part of traces that is kept is from 0 to 1.")
	} else if u, err := url.Parse(t.OTLP); t.OTLP != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		fault("telemetry.otlp", "A collector's address is like http://127.0.0.1:4318.")
	}
	for _, p := range []struct{ key, path string }{
		{"dir", s.Dir}, {"secretFile", s.SecretFile}, {"partners", s.Partners}, {"console.tokenFile", s.Console.TokenFile},
	} {
		if p.path == "" {
			fault(p.key, "A path is needed here.")
		}
	}
	return faults
}

// path is a path of the configuration as the process can open it.
func (s *settings) path(p string) string {
	if filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(s.home, filepath.FromSlash(p))
}

// agreements is what stands beside the configuration: contracts, maps and FHIR packages, checked together.
type agreements struct {
	partners []*contracts.Partner
	maps     *mappings.Catalog
	profiles *fhir.Profiles
	warnings contracts.Faults // of contracts, and what in FHIR packages can't be used and no contract asks for
}

// readAgreements loads contracts, maps and code maps. Every fault of all of them comes at once.
func (s *settings) readAgreements() (agreements, error) {
	var faults contracts.Faults
	partners, err := contracts.LoadPartners(os.DirFS(s.path(s.Partners)), ".")
	for _, f := range contracts.FaultsOf(err) {
		f.File = filepath.Join(s.Partners, f.File)
		faults = append(faults, f)
	}
	for _, p := range partners {
		p.File = filepath.Join(s.Partners, p.File)
	}
	maps, err := openCatalog(s.path(s.Mappings))
	faults = append(faults, contracts.FaultsOf(err)...)
	paths := make([]string, len(s.FHIR.Packages))
	for i, p := range s.FHIR.Packages {
		paths[i] = s.path(p)
	}
	profiles, err := loadPackages(paths)
	faults = append(faults, contracts.FaultsOf(err)...)
	if len(faults) == 0 {
		faults = hub.CheckContracts(partners, maps, profiles)
	}
	if err := faults.Err(); err != nil {
		return agreements{}, configuration{err}
	}
	return agreements{partners, maps, profiles, append(faults, asWarnings(profiles.Check())...)}, nil
}

// asWarnings grades the faults of definitions that nobody may have asked for.
func asWarnings(faults contracts.Faults) contracts.Faults {
	for i, f := range faults {
		g := *f
		g.Grade = contracts.GradeWarning
		faults[i] = &g
	}
	return faults
}

// loadPackages gives the profiles of FHIR packages beside Silta's own. The faults of all come at once.
func loadPackages(paths []string) (*fhir.Profiles, error) {
	profiles := fhir.NewProfiles()
	var faults contracts.Faults
	for _, path := range paths {
		if err := addPackage(profiles, path); err != nil {
			for _, f := range contracts.FaultsOf(err) {
				f.File = filepath.Join(path, f.File)
				faults = append(faults, f)
			}
		}
	}
	if err := faults.Err(); err != nil {
		return nil, err
	}
	return profiles, nil
}

func addPackage(profiles *fhir.Profiles, path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return &contracts.Fault{Kind: contracts.Invalid, Code: "CFG-046", Public: "There is no such FHIR package: name its folder or its .tgz.", Err: err}
	}
	if info.IsDir() {
		return profiles.AddFolder(os.DirFS(path))
	}
	f, err := os.Open(path)
	if err != nil {
		return &contracts.Fault{Kind: contracts.Invalid, Code: "CFG-046", Public: "The FHIR package can't be read.", Err: err}
	}
	defer f.Close()
	return profiles.AddArchive(f)
}

// openCatalog gives the built-in maps with those of dir over them, if dir is there.
func openCatalog(dir string) (*mappings.Catalog, error) {
	catalog, err := mappings.Load(catalogLayers(dir)...)
	if err != nil {
		return nil, openable(dir, contracts.FaultsOf(err))
	}
	return catalog, nil
}

// openable gives a catalog's faults with the files of its folder named as they can be opened. What is built in keeps its name.
func openable(dir string, faults contracts.Faults) contracts.Faults {
	named := make(contracts.Faults, len(faults))
	for i, f := range faults {
		own := *f
		own.File, own.At = openableName(dir, f.File), openableName(dir, f.At)
		named[i] = &own
	}
	return named
}

func openableName(dir, file string) string {
	path := filepath.Join(dir, filepath.FromSlash(file))
	if _, err := os.Stat(path); file == "" || err != nil {
		return file
	}
	return path
}

// catalogLayers are what is built in, and the folder where it is there.
func catalogLayers(dir string) []fs.FS {
	layers := []fs.FS{mappings.Embedded}
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		layers = append(layers, os.DirFS(dir))
	}
	return layers
}

// secret reads a file that only its owner may read.
func (s *settings) secret(path string) ([]byte, error) {
	info, err := os.Stat(s.path(path))
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, configuration{&contracts.Fault{Kind: contracts.Invalid, Code: "CFG-041", File: path, Public: "Others than its owner may read this secret. Set its mode to 0600."}}
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(s.path(path))
	}
	if err != nil {
		return nil, configuration{&contracts.Fault{Kind: contracts.Invalid, Code: "CFG-042", File: path, Public: "This secret can't be read. `silta init` makes the secrets of a new installation.", Err: err}}
	}
	if b = bytes.TrimSpace(b); len(b) < 32 {
		return nil, configuration{&contracts.Fault{Kind: contracts.Invalid, Code: "CFG-043", File: path, Public: "This secret is shorter than 32 characters."}}
	}
	return b, nil
}

// doorTLS is a contract's TLS with paths as the process can open them, nil for nil.
func (s *settings) doorTLS(t *contracts.TLSDoor) *contracts.TLSDoor {
	if t == nil {
		return nil
	}
	opened := *t
	s.open(&opened.CertFile, &opened.KeyFile, &opened.ClientCAFile)
	return &opened
}

// courierTLS is doorTLS for a courier.
func (s *settings) courierTLS(t *contracts.TLSCourier) *contracts.TLSCourier {
	if t == nil {
		return nil
	}
	opened := *t
	s.open(&opened.CAFile, &opened.CertFile, &opened.KeyFile)
	return &opened
}

// open makes paths such that the process can open them. An empty one names no file.
func (s *settings) open(paths ...*string) {
	for _, p := range paths {
		if *p != "" {
			*p = s.path(*p)
		}
	}
}

// checkTLS reads every certificate and key that the contracts name.
func (s *settings) checkTLS(partners []*contracts.Partner) error {
	var faults contracts.Faults
	for _, p := range partners {
		var door *contracts.TLSDoor
		var courier *contracts.TLSCourier
		if p.Door.MLLP != nil {
			door = s.doorTLS(p.Door.MLLP.TLS)
		}
		if p.Courier.MLLP != nil {
			courier = s.courierTLS(p.Courier.MLLP.TLS)
		}
		faults = append(faults, mllp.CheckTLS(door, courier)...)
	}
	if err := faults.Err(); err != nil {
		return configuration{err}
	}
	return nil
}

// checkSecrets reads every secret that the configuration and the contracts name.
func (s *settings) checkSecrets(partners []*contracts.Partner) error {
	paths := []string{s.SecretFile, s.Console.TokenFile}
	for _, p := range partners {
		paths = append(paths, tokenFiles(p)...)
	}
	var faults contracts.Faults
	for _, path := range paths {
		_, err := s.secret(path)
		faults = append(faults, contracts.FaultsOf(err)...)
	}
	if err := faults.Err(); err != nil {
		return configuration{err}
	}
	return nil
}
