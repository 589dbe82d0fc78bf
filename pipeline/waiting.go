package pipeline

func newWaitStep(core *stepCore) *cpuStep { return newCPUStep(core) }
