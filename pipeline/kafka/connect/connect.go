// SPDX-License-Identifier: Apache-2.0

// Package connect holds the settings of a connection to a Kafka cluster, for the source
// that reads from one and the sink that writes to one.
//
// The brokers have a key and a sentence of documentation in each, since the source must
// name them and a sink need not; what stands below tls and sasl is the same for both.
package connect

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/penstockio/penstock/pipeline"
	"github.com/penstockio/penstock/pipeline/kafka"
	"github.com/penstockio/penstock/pipeline/settings"
)

// Settings say how a cluster is reached.
type Settings struct {
	Brokers []string // addresses of some brokers, host:port
	TLS     *TLS     // nil: not encrypted
	SASL    *SASL    // nil: nobody logs in
}

// TLS says how connections to brokers are encrypted.
type TLS struct {
	CA         settings.Path `yaml:"ca" read:"start" doc:"PEM file of the authorities to trust in place of the system's"`
	Cert       settings.Path `yaml:"cert" read:"start" of:"machine" doc:"PEM file of the certificate that this side shows"`
	Key        settings.Path `yaml:"key" read:"start" of:"machine" doc:"PEM file of the key that belongs to cert"`
	ServerName string        `yaml:"server_name" doc:"name that the brokers' certificates must carry, when it is not the one in the address"`
	Insecure   bool          `yaml:"insecure" doc:"accept any certificate: anybody in between can read and change everything"`
}

// SASL says who reads or writes.
type SASL struct {
	Mechanism    string          `yaml:"mechanism" required:"true" enum:"plain|scram-sha-256|scram-sha-512" doc:"how the password is shown to the broker"`
	Username     string          `yaml:"username" required:"true" doc:"name of the user"`
	Password     settings.Secret `yaml:"password" doc:"password of the user; this or password_file"`
	PasswordFile settings.Path   `yaml:"password_file" doc:"file that holds the password alone, read again for every connection"`
	Plaintext    bool            `yaml:"plaintext" doc:"send user name and password over a network without TLS"`
}

// Check tells bad what is wrong, field by field, as far as it can be known without
// connecting. No brokers at all is no error here.
func (s Settings) Check(bad func(field string, err error)) {
	kafka.BadAddresses(s.Brokers, func(i int, err error) { bad(fmt.Sprintf("brokers[%d]", i), err) })
	if s.TLS != nil && (s.TLS.Cert == "") != (s.TLS.Key == "") {
		bad("tls", errors.New("cert and key belong together: give both or none"))
	}
	if s.SASL == nil {
		return
	}
	if !slices.Contains(kafka.Mechanisms, s.SASL.Mechanism) {
		bad("sasl.mechanism", fmt.Errorf("%q is none of %s", s.SASL.Mechanism, strings.Join(kafka.Mechanisms, ", ")))
	}
	if s.SASL.Username == "" {
		bad("sasl.username", errors.New("it is missing"))
	}
	if (s.SASL.Password == "") == (s.SASL.PasswordFile == "") {
		bad("sasl.password", errors.New("give one of password and password_file"))
	}
	open := slices.IndexFunc(s.Brokers, func(b string) bool { _, err := kafka.Address(b); return err == nil && !kafka.Loopback(b) })
	if open >= 0 && s.TLS == nil && !s.SASL.Plaintext {
		bad("sasl", fmt.Errorf("without tls the password would go to %s unencrypted: add tls, or plaintext: true if you mean it", s.Brokers[open]))
	}
}

// Config makes the client's configuration. An error is one of a file that cannot be
// read; warn is told when that comes later.
func (s Settings) Config(warn func(error)) (kafka.Config, error) {
	c := kafka.Config{Brokers: s.Brokers}
	var t *kafka.TLS
	if s.TLS != nil {
		t = &kafka.TLS{CA: string(s.TLS.CA), Cert: string(s.TLS.Cert), Key: string(s.TLS.Key), ServerName: s.TLS.ServerName, Insecure: s.TLS.Insecure, Warn: warn}
	}
	var a *kafka.SASL
	if s.SASL != nil {
		a = &kafka.SASL{
			Mechanism: s.SASL.Mechanism, Username: s.SASL.Username, Password: s.SASL.Password.Reveal(), PasswordFile: string(s.SASL.PasswordFile),
			Warn: warn, Plaintext: s.SASL.Plaintext,
		}
	}
	if err := c.Secure(t, a); err != nil {
		return c, &pipeline.EnvironmentError{Err: err}
	}
	return c, nil
}
