// Package telemetry sends spans to an OpenTelemetry collector: OTLP over HTTP, as protobuf.
//
// A span is kept in memory until the next batch goes, every five seconds or 512 spans. A collector that is down or slow
// holds nothing up: what doesn't fit a queue of 2,048 spans is dropped, and the log says that sending failed. A span
// carries partners, types, states, map names, answer codes and fault codes. It never carries an id of a person, a control
// id or a value.
//
// Standards: W3C Trace Context (traceparent; tracestate isn't passed on), OTLP 1, and the OTEL_ environment variables of
// the OpenTelemetry specification.
package telemetry

import (
	"context"
	"os"
	"strings"

	"github.com/sirupsen/logrus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/hoitosilta/silta/contracts"
)

// Config says where spans go. Without an address the environment decides (OTEL_EXPORTER_OTLP_ENDPOINT and its kin).
type Config struct {
	OTLP    string  // the collector's base URL: http://127.0.0.1:4318
	Sample  float64 // the part of traces begun here that is kept, 0 to 1; a sender's own choice is followed
	Version string  // of Silta
}

// Wanted says whether the configuration or the environment names a collector.
func (c Config) Wanted() bool {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return false
	}
	return c.OTLP != "" || os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

// Tracer opens spans. Its methods may be called from many goroutines.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// Start gives a tracer that sends until Close. It doesn't wait for the collector; an address that is none is a fault of
// kind invalid.
func Start(ctx context.Context, c Config, log logrus.FieldLogger) (*Tracer, error) {
	var to []otlptracehttp.Option
	if c.OTLP != "" {
		to = append(to, otlptracehttp.WithEndpointURL(strings.TrimSuffix(c.OTLP, "/")+"/v1/traces"))
	}
	exporter, err := otlptracehttp.New(ctx, to...)
	if err != nil {
		return nil, &contracts.Fault{Kind: contracts.Invalid, Code: "CFG-060", Public: "The collector's address can't be used; it is like http://127.0.0.1:4318.", Err: err}
	}
	about, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "silta"), attribute.String("service.version", c.Version)),
		resource.WithTelemetrySDK(), resource.WithHost(), resource.WithFromEnv())
	if err != nil {
		return nil, &contracts.Fault{Kind: contracts.Invalid, Code: "CFG-060", Public: "OTEL_RESOURCE_ATTRIBUTES can't be read.", Err: err}
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.WithError(err).Warn("Spans couldn't be sent.") }))
	options := []sdk.TracerProviderOption{sdk.WithBatcher(exporter), sdk.WithResource(about)}
	if os.Getenv("OTEL_TRACES_SAMPLER") == "" {
		options = append(options, sdk.WithSampler(sdk.ParentBased(sdk.TraceIDRatioBased(c.Sample))))
	}
	provider := sdk.NewTracerProvider(options...)
	return &Tracer{provider, provider.Tracer("github.com/hoitosilta/silta")}, nil
}

// Close sends what is left, until ctx ends.
func (t *Tracer) Close(ctx context.Context) error { return t.provider.Shutdown(ctx) }

// kinds are the spans' kinds; translate is of the inner sort.
var kinds = map[string]trace.SpanKind{"door": trace.SpanKindServer, "publish": trace.SpanKindProducer, "deliver": trace.SpanKindClient}

// Open is a contracts.Tracing.
func (t *Tracer) Open(parent string, s contracts.Span) (string, func(contracts.SpanEnd)) {
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{contracts.HeaderTrace: parent})
	name := s.Name
	if s.Topic != "" {
		name += " " + s.Topic
	}
	ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(kinds[s.Name]), trace.WithAttributes(filled(
		attribute.String("silta.partner", s.Partner), attribute.String("silta.type", s.Type),
		attribute.String("messaging.destination.name", s.Topic), attribute.Int("silta.attempt", s.Attempt))...))
	following := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, following)
	return following[contracts.HeaderTrace], func(o contracts.SpanEnd) { end(span, o) }
}

// end closes a span. Of faults it says kind, code and text, which name places and never values; the text of a foreign
// error stays out.
func end(span trace.Span, o contracts.SpanEnd) {
	span.SetAttributes(filled(attribute.String("silta.state", string(o.State)), attribute.String("silta.map", o.Map), attribute.String("silta.answer", o.Answer))...)
	counts := map[string]int{}
	for _, f := range o.Findings {
		counts[f.Code]++
	}
	for code, n := range counts {
		span.AddEvent("finding", trace.WithAttributes(attribute.String("silta.code", code), attribute.Int("silta.count", n)))
	}
	if o.Err != nil {
		f := contracts.FaultsOf(o.Err)[0]
		span.SetAttributes(filled(attribute.String("silta.fault.kind", string(f.Kind)), attribute.String("silta.fault.code", f.Code))...)
		span.SetStatus(codes.Error, f.Public)
	}
	span.End()
}

// filled leaves out what is empty.
func filled(all ...attribute.KeyValue) []attribute.KeyValue {
	some := all[:0]
	for _, kv := range all {
		if s := kv.Value.Emit(); s != "" && s != "0" {
			some = append(some, kv)
		}
	}
	return some
}
