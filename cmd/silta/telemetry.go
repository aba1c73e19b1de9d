package main

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/hoitosilta/silta/adapters/telemetry"
)

// flushing is how long the last spans get to reach the collector when the house closes.
const flushing = 2 * time.Second

// openTelemetry begins to trace, if the settings or the OTEL_ environment name a collector.
func (h *house) openTelemetry(ctx context.Context, s settings) error {
	c := telemetry.Config{OTLP: s.Telemetry.OTLP, Sample: s.Telemetry.Sample, Version: version()}
	if !c.Wanted() {
		return nil
	}
	tracer, err := telemetry.Start(ctx, c, h.log)
	if err != nil {
		return configuration{err}
	}
	h.trace = tracer.Open
	h.opened = append(h.opened, func() error {
		ctx, stop := context.WithTimeout(context.Background(), flushing)
		defer stop()
		if err := tracer.Close(ctx); err != nil {
			h.log.WithError(err).Warn("The last spans couldn't be sent.")
		}
		return nil
	})
	return nil
}

// version is the module's version that the binary was built from; (devel) for a working copy.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
