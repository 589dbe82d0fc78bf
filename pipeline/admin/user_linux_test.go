package admin

import (
	"fmt"
	"os"
)

// userOfSockets is what a command from this process over a socket is said to come from.
func userOfSockets() string { return fmt.Sprintf("uid %d", os.Getuid()) }
