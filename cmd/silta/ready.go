package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/hoitosilta/silta/contracts"
	"github.com/hoitosilta/silta/hub"
)

// expiring is how long before its end a certificate is a warning.
const expiring = 30 * 24 * time.Hour

// scarce is the free room on a disk, in bytes, below which it is a warning.
const scarce = 1 << 30

// ready says what the hub and what stands around it lack to take messages, and what soon will be missing.
func (h *house) ready(ctx context.Context, front *hub.Hub) contracts.Readiness {
	r := front.Ready(ctx)
	h.posted(&r)
	if free, err := freeBytes(h.dir); err == nil && free < scarce {
		r.Warnings = append(r.Warnings, fmt.Sprintf("disk: %d MB are free where the data lies. Make room, or set `keep`; when it is full, doors take nothing.", free>>20))
	}
	slices.Sort(r.Missing)
	slices.Sort(r.Warnings)
	return r
}

// posted looks at the partners' doors and certificates.
func (h *house) posted(r *contracts.Readiness) {
	if !h.mu.TryLock() {
		r.Warnings = append(r.Warnings, "configuration: a reload is under way; doors and certificates are looked at when it is done.")
		return
	}
	defer h.mu.Unlock()
	if h.lanes == nil || h.over {
		r.Missing = append(r.Missing, "doors: the hub is starting or stopping. Ask again in a moment.")
	} else if h.lanes.over() {
		r.Missing = append(r.Missing, "lanes: nothing is translated or delivered any more. The log says why; restart the hub.")
	}
	for id, p := range h.posts {
		if p.door != nil && p.serving != nil && p.serving.over() {
			r.Missing = append(r.Missing, "door of "+id+": it takes nothing any more. The log says why; restart the hub.")
		}
		for _, file := range h.certificates(p.contract) {
			if until, err := endOf(file); err == nil && time.Until(until) < expiring {
				r.Warnings = append(r.Warnings, fmt.Sprintf("certificate of %s, %s: it ends on %s. Put a new one in its place; it is read without a restart.", id, file, until.UTC().Format(time.DateOnly)))
			}
		}
	}
}

// certificates are the files of those that we show to a partner or trust it by.
func (h *house) certificates(p *contracts.Partner) []string {
	var files []string
	if d := p.Door.MLLP; d != nil && d.TLS != nil {
		files = append(files, d.TLS.CertFile, d.TLS.ClientCAFile)
	}
	if c := p.Courier.MLLP; c != nil && c.TLS != nil {
		files = append(files, c.TLS.CertFile, c.TLS.CAFile)
	}
	files = slices.DeleteFunc(files, func(file string) bool { return file == "" })
	for i := range files {
		files[i] = h.settings.path(files[i])
	}
	return files
}

// endOf is when the first of the certificates in a PEM file ends.
func endOf(file string) (time.Time, error) {
	rest, err := os.ReadFile(file)
	if err != nil {
		return time.Time{}, err
	}
	var until time.Time
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err == nil && (until.IsZero() || c.NotAfter.Before(until)) {
			until = c.NotAfter
		}
	}
	if until.IsZero() {
		return until, fmt.Errorf("%s holds no certificate", file)
	}
	return until, nil
}

// freeBytes is the room on the disk where dir lies.
func freeBytes(dir string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * s.Bsize, nil
}
