package fhirrest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	models "github.com/samply/golang-fhir-models/fhir-models/fhir"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/contracts/profiles"
)

// metadata is the last part of the path of the capability statement.
const metadata = "/metadata"

// maxForm is the size of a search that comes by POST, in bytes.
const maxForm = 64 << 10

// tell answers a request for what the door says of itself, at path under its base. A stranger (nil) comes no further
// than to the capability statement.
func (d *Door) tell(w http.ResponseWriter, r *http.Request, sender *knownSender, path string) {
	body, no := d.told(w, r, sender, path)
	if no != nil {
		d.refuse(w, r, sender, no)
		return
	}
	sum := sha256.Sum256(body)
	h := w.Header()
	h.Set("Content-Type", mediaType+"; charset=utf-8")
	h.Set("Cache-Control", "private, no-cache") // whoever keeps it asks whether it still holds
	h.Set("Vary", "Authorization, Accept")
	h.Set("ETag", `W/"`+hex.EncodeToString(sum[:8])+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

func (d *Door) told(w http.ResponseWriter, r *http.Request, sender *knownSender, path string) ([]byte, *refusal) {
	typ, rest, deeper := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	search := deeper && rest == "_search"
	switch {
	case path != metadata && !slices.Contains(d.shelf.types(), typ):
		return nil, d.nothing()
	case search && r.Method != http.MethodPost:
		return nil, notAllowed("A search at this address comes by POST.", http.MethodPost)
	case !search && r.Method != http.MethodGet && r.Method != http.MethodHead:
		return nil, notAllowed("What is here can only be read.", http.MethodGet, http.MethodHead)
	}
	query, no := d.asked(w, r)
	if no != nil {
		return nil, no
	}
	switch base := d.address(r); {
	case !takesJSON(query.Get("_format"), r.Header):
		return nil, noJSON()
	case path == metadata:
		return d.capability(sender, base, query)
	case !deeper || search:
		return d.search(sender, base, typ, query, strings.Contains(r.Header.Get("Prefer"), "handling=strict"))
	default:
		for _, p := range d.shelf.of(typ, sender) {
			if p.id == rest {
				return p.body, nil
			}
		}
		return nil, d.nothing()
	}
}

// address is the door's base as the partner knows it: by the configuration, else as it was asked for.
func (d *Door) address(r *http.Request) string {
	if d.url != "" {
		return d.url
	}
	at := url.URL{Scheme: "http", Host: r.Host, Path: d.base}
	if r.TLS != nil {
		at.Scheme = "https"
	}
	return at.String()
}

// asked reads what is asked for, from the URL and, with a search by POST, from the body.
func (d *Door) asked(w http.ResponseWriter, r *http.Request) (url.Values, *refusal) {
	if r.Method == http.MethodPost {
		if typ, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || typ != "application/x-www-form-urlencoded" {
			return nil, refusing(http.StatusUnsupportedMediaType, contracts.Refused, CodeMediaType, "A search by POST is application/x-www-form-urlencoded.")
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(d.timeouts.Read)) // a recorder in a test has none
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	}
	if err := r.ParseForm(); err != nil {
		return nil, refusing(http.StatusBadRequest, contracts.Invalid, CodeQuery, "The query can't be read.")
	}
	return r.Form, nil
}

func (d *Door) capability(sender *knownSender, base string, query url.Values) ([]byte, *refusal) {
	switch mode := query.Get("mode"); mode {
	case "", modeFull, modeNormative:
		return d.statement(sender, base, mode), nil
	case modeTerminology:
		return d.terminology(sender, base), nil
	}
	return nil, refusing(http.StatusBadRequest, contracts.Invalid, CodeQuery, "The mode is full, normative or terminology.")
}

// searchParameter is one by which pages are found.
type searchParameter struct {
	name       string
	kind       models.SearchParamType
	definition string
	suits      func(p page, value string) bool
}

func searchParameters(typ string) []searchParameter {
	const base = "http://hl7.org/fhir/SearchParameter/"
	all := []searchParameter{
		{"_id", models.SearchParamTypeToken, base + "Resource-id", func(p page, value string) bool { return p.id == value }},
		{"url", models.SearchParamTypeUri, base + "conformance-url", func(p page, value string) bool { return p.url == value }},
		{"version", models.SearchParamTypeToken, base + "conformance-version", func(p page, value string) bool { return p.version == value }},
	}
	if typ == "MessageDefinition" {
		all = append(all, searchParameter{"event", models.SearchParamTypeToken, base + "MessageDefinition-event", isEvent})
	}
	return all
}

// isEvent compares an event with a token: code, system|code or system|.
func isEvent(p page, token string) bool {
	system, code, whole := strings.Cut(token, "|")
	if !whole {
		return token == p.event
	}
	return system == profiles.URL(profiles.EventSystem) && (code == "" || code == p.event)
}

// search gives the pages of a type that suit all parameters, each of which may have several values between commas. A
// parameter that isn't known is passed over, unless the client wants it strict (FHIR R4, 3.1.1.3.1).
func (d *Door) search(sender *knownSender, base, typ string, query url.Values, strict bool) ([]byte, *refusal) {
	found, used := d.shelf.of(typ, sender), url.Values{}
	known := searchParameters(typ)
	for name, values := range query {
		i := slices.IndexFunc(known, func(p searchParameter) bool { return p.name == name })
		plain, _, modified := strings.Cut(name, ":")
		switch {
		case i >= 0:
		case modified && slices.ContainsFunc(known, func(p searchParameter) bool { return p.name == plain }):
			return nil, refusing(http.StatusBadRequest, contracts.Invalid, CodeQuery, "Search parameters have no modifiers here.")
		case strict && name != "_format":
			return nil, refusing(http.StatusBadRequest, contracts.Invalid, CodeQuery, "A search parameter isn't known here; the capability statement lists those that are.")
		default:
			continue
		}
		used[name] = values
		for _, value := range values {
			any := strings.Split(value, ",")
			found = slices.DeleteFunc(found, func(p page) bool {
				return !slices.ContainsFunc(any, func(one string) bool { return known[i].suits(p, one) })
			})
		}
	}
	self := base + "/" + typ
	if len(used) > 0 {
		self += "?" + used.Encode()
	}
	b := models.Bundle{Type: models.BundleTypeSearchset, Total: new(len(found)), Link: []models.BundleLink{{Relation: "self", Url: self}}}
	for _, p := range found {
		b.Entry = append(b.Entry, models.BundleEntry{FullUrl: new(base + "/" + typ + "/" + p.id), Resource: p.body,
			Search: &models.BundleEntrySearch{Mode: new(models.SearchEntryModeMatch)}})
	}
	return written(b), nil
}
