package tail

// An identity tells a file from all others that are there at the same time: by device and inode, or by its path where a
// system has no such numbers.
type identity struct {
	Device uint64 `json:"device,omitempty"`
	Inode  uint64 `json:"inode,omitempty"`
	Path   string `json:"-"`
}
