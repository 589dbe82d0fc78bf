package config

import "testing"

func TestSaysYesOrNo(t *testing.T) {
	for _, name := range []string{
		"is_late", "isLate", "hasBags", "cancelled", "CANCELLED", "active", "passenger.vip", "order.paid", "refundable", "visible",
		"late", "isactive", "delay_exceeded", "can-fly", `$env["is late"]`, `order["was seen"]`, "no_show", "late_flag", "enabled",
	} {
		if !saysYesOrNo(name) {
			t.Errorf("%s is taken for no yes or no", name)
		}
	}
	for _, name := range []string{
		"amount", "delay", "origin", "order.total", "speed", "feed", "table", "variable", "is", "has", "id", "name", "a", "status", "red", "island",
		`$env["order amount"]`, "vip.level", "is_late.count", "",
	} {
		if saysYesOrNo(name) {
			t.Errorf("%s is taken for a yes or no", name)
		}
	}
}
