package trace

import (
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/penstockio/penstock/pipeline/trace/tracetest"
)

// TestTypesOfAttributes: those that OpenTelemetry has named have its types; a store that has taken one for a text refuses a number.
func TestTypesOfAttributes(t *testing.T) {
	tr := open(t, tracetest.Start(t), nil)
	r := tr.Pipeline(Pipeline{Name: "p", Source: "kafka", Group: "g"}).Begin(recordWith(), time.Now(), true)
	got := map[string]attribute.Type{}
	for _, kv := range r.(*record).span.(sdk.ReadOnlySpan).Attributes() {
		got[string(kv.Key)] = kv.Value.Type()
	}
	r.End("delivered", time.Now())
	for name, want := range map[string]attribute.Type{
		"messaging.system": attribute.STRING, "messaging.operation.name": attribute.STRING, "messaging.operation.type": attribute.STRING,
		"messaging.consumer.group.name": attribute.STRING, "messaging.destination.name": attribute.STRING,
		"messaging.destination.partition.id": attribute.STRING, "messaging.kafka.offset": attribute.INT64,
	} {
		if got[name] != want {
			t.Errorf("%s is of type %v, want %v", name, got[name], want)
		}
	}
}
