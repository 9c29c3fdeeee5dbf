package steps

const machine = 183 // EM_AARCH64
