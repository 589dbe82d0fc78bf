package kafka

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
)

// defaultPort is the port of an address that names none.
const defaultPort = "9092"

// Address checks the address of a broker as people write it, and gives it as host:port.
// A port that is missing is 9092. Nothing is looked up. An error says what to write, and
// quotes the address whole or not at all: a password in it is not shown.
func Address(text string) (string, error) {
	wrong := func(why string) (string, error) {
		return "", fmt.Errorf("%q %s: write host:port", text, why)
	}
	switch {
	case strings.TrimSpace(text) == "":
		return "", errors.New("an address is empty: write host:port")
	case strings.Contains(text, "@"):
		return "", errors.New("an address has no user and no password in it: write host:port, and sasl for these")
	case strings.Contains(text, "://"):
		return "", fmt.Errorf("%q is more than an address, which has no scheme: write host:port, and tls and sasl beside brokers", text)
	case strings.Contains(text, ","), strings.ContainsFunc(text, unicode.IsSpace):
		return wrong("is more than one address, and these are parted by commas")
	case strings.Contains(text, "/"):
		return wrong("is more than an address, which has no path")
	}
	if ip, err := netip.ParseAddr(text); err == nil && ip.Is6() {
		return "", fmt.Errorf("%q has no brackets, so that its port cannot be told: write host:port, and an IPv6 address like [2001:db8::7]:9092", text)
	}
	host, port, why := splitAddress(text)
	if why == "" {
		why = checkHost(host, strings.HasPrefix(text, "["))
	}
	if n, err := strconv.ParseUint(port, 10, 16); why == "" && (err != nil || n == 0) {
		why = "has a port that is no number from 1 to 65535"
	}
	if why != "" {
		return wrong(why)
	}
	return net.JoinHostPort(host, port), nil
}

// splitAddress gives host and port, or why they cannot be told.
func splitAddress(text string) (host, port, why string) {
	inBrackets := strings.HasPrefix(text, "[")
	switch {
	case inBrackets && strings.HasSuffix(text, "]"):
		return text[1 : len(text)-1], defaultPort, ""
	case strings.Trim(text, "0123456789") == "":
		return "", "", "is a port, and no host"
	case !strings.Contains(text, ":"):
		return text, defaultPort, ""
	}
	host, port, err := net.SplitHostPort(text)
	switch {
	case err != nil && inBrackets:
		return "", "", "has brackets that do not hold an IPv6 address and have a colon behind them, like [2001:db8::7]:9092"
	case err != nil:
		return "", "", "has more than one colon"
	case host == "":
		return "", "", "has no host"
	case port == "":
		return "", "", "has no port behind the colon"
	}
	return host, port, ""
}

// checkHost gives what is wrong with a host. Underscores are fine, which networks of
// containers have in names.
func checkHost(host string, inBrackets bool) (why string) {
	ip, err := netip.ParseAddr(host)
	if inBrackets {
		if err != nil || !ip.Is6() {
			return "has brackets, which hold an IPv6 address, like [2001:db8::7]:9092"
		}
		return ""
	}
	if strings.Trim(host, "0123456789.") == "" && err != nil {
		return "begins with numbers that are no IPv4 address"
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		odd := func(r rune) bool {
			return r != '-' && r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
		}
		if strings.Trim(label, "-") == "" || strings.ContainsFunc(label, odd) {
			return "begins with no name of a host"
		}
	}
	return ""
}

// BadAddresses tells report of the addresses of a list that are wrong, or name a broker
// that an earlier one names.
func BadAddresses(list []string, report func(i int, err error)) {
	seen := make(map[string]bool, len(list))
	for i, text := range list {
		address, err := Address(text)
		switch {
		case err != nil:
			report(i, err)
		case seen[address]:
			report(i, fmt.Errorf("%q stands twice", text))
		}
		seen[address] = true
	}
}
