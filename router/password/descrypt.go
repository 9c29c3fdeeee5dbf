package password

import (
	"crypto/subtle"
	"strings"
)

// desCrypt is the oldest crypt(3): DES, 25 times over a block of zeros, with the
// first 8 characters of the password as its key and the expansion E changed by the
// salt (which is why crypto/des is of no use here). Next to {SHA} it is the only
// form that uWSGI reads, so files that it was used with have it.
type desCrypt string

func (desCrypt) slow() bool { return true }

func (h desCrypt) matches(password []byte) bool {
	return subtle.ConstantTimeCompare([]byte(h), desCompute(password, string(h[:2]))) == 1
}

// Bits are bytes of 0 or 1 in these tables' counting, which is that of the standard
// (FIPS 46): from 1 on, the most significant first.
var (
	desIP  = []byte{58, 50, 42, 34, 26, 18, 10, 2, 60, 52, 44, 36, 28, 20, 12, 4, 62, 54, 46, 38, 30, 22, 14, 6, 64, 56, 48, 40, 32, 24, 16, 8, 57, 49, 41, 33, 25, 17, 9, 1, 59, 51, 43, 35, 27, 19, 11, 3, 61, 53, 45, 37, 29, 21, 13, 5, 63, 55, 47, 39, 31, 23, 15, 7}
	desFP  = []byte{40, 8, 48, 16, 56, 24, 64, 32, 39, 7, 47, 15, 55, 23, 63, 31, 38, 6, 46, 14, 54, 22, 62, 30, 37, 5, 45, 13, 53, 21, 61, 29, 36, 4, 44, 12, 52, 20, 60, 28, 35, 3, 43, 11, 51, 19, 59, 27, 34, 2, 42, 10, 50, 18, 58, 26, 33, 1, 41, 9, 49, 17, 57, 25}
	desE   = []byte{32, 1, 2, 3, 4, 5, 4, 5, 6, 7, 8, 9, 8, 9, 10, 11, 12, 13, 12, 13, 14, 15, 16, 17, 16, 17, 18, 19, 20, 21, 20, 21, 22, 23, 24, 25, 24, 25, 26, 27, 28, 29, 28, 29, 30, 31, 32, 1}
	desP   = []byte{16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25}
	desPC1 = []byte{57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36, 63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4}
	desPC2 = []byte{14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2, 41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32}
	desS   = [8][64]byte{
		{14, 4, 13, 1, 2, 15, 11, 8, 3, 10, 6, 12, 5, 9, 0, 7, 0, 15, 7, 4, 14, 2, 13, 1, 10, 6, 12, 11, 9, 5, 3, 8, 4, 1, 14, 8, 13, 6, 2, 11, 15, 12, 9, 7, 3, 10, 5, 0, 15, 12, 8, 2, 4, 9, 1, 7, 5, 11, 3, 14, 10, 0, 6, 13},
		{15, 1, 8, 14, 6, 11, 3, 4, 9, 7, 2, 13, 12, 0, 5, 10, 3, 13, 4, 7, 15, 2, 8, 14, 12, 0, 1, 10, 6, 9, 11, 5, 0, 14, 7, 11, 10, 4, 13, 1, 5, 8, 12, 6, 9, 3, 2, 15, 13, 8, 10, 1, 3, 15, 4, 2, 11, 6, 7, 12, 0, 5, 14, 9},
		{10, 0, 9, 14, 6, 3, 15, 5, 1, 13, 12, 7, 11, 4, 2, 8, 13, 7, 0, 9, 3, 4, 6, 10, 2, 8, 5, 14, 12, 11, 15, 1, 13, 6, 4, 9, 8, 15, 3, 0, 11, 1, 2, 12, 5, 10, 14, 7, 1, 10, 13, 0, 6, 9, 8, 7, 4, 15, 14, 3, 11, 5, 2, 12},
		{7, 13, 14, 3, 0, 6, 9, 10, 1, 2, 8, 5, 11, 12, 4, 15, 13, 8, 11, 5, 6, 15, 0, 3, 4, 7, 2, 12, 1, 10, 14, 9, 10, 6, 9, 0, 12, 11, 7, 13, 15, 1, 3, 14, 5, 2, 8, 4, 3, 15, 0, 6, 10, 1, 13, 8, 9, 4, 5, 11, 12, 7, 2, 14},
		{2, 12, 4, 1, 7, 10, 11, 6, 8, 5, 3, 15, 13, 0, 14, 9, 14, 11, 2, 12, 4, 7, 13, 1, 5, 0, 15, 10, 3, 9, 8, 6, 4, 2, 1, 11, 10, 13, 7, 8, 15, 9, 12, 5, 6, 3, 0, 14, 11, 8, 12, 7, 1, 14, 2, 13, 6, 15, 0, 9, 10, 4, 5, 3},
		{12, 1, 10, 15, 9, 2, 6, 8, 0, 13, 3, 4, 14, 7, 5, 11, 10, 15, 4, 2, 7, 12, 9, 5, 6, 1, 13, 14, 0, 11, 3, 8, 9, 14, 15, 5, 2, 8, 12, 3, 7, 0, 4, 10, 1, 13, 11, 6, 4, 3, 2, 12, 9, 5, 15, 10, 11, 14, 1, 7, 6, 0, 8, 13},
		{4, 11, 2, 14, 15, 0, 8, 13, 3, 12, 9, 7, 5, 10, 6, 1, 13, 0, 11, 7, 4, 9, 1, 10, 14, 3, 5, 12, 2, 15, 8, 6, 1, 4, 11, 13, 12, 3, 7, 14, 10, 15, 6, 8, 0, 5, 9, 2, 6, 11, 13, 8, 1, 4, 10, 7, 9, 5, 0, 15, 14, 2, 3, 12},
		{13, 2, 8, 4, 6, 15, 11, 1, 10, 9, 3, 14, 5, 0, 12, 7, 1, 15, 13, 8, 10, 3, 7, 4, 12, 5, 6, 11, 0, 14, 9, 2, 7, 11, 4, 1, 9, 12, 14, 2, 0, 6, 10, 13, 15, 3, 5, 8, 2, 1, 14, 7, 4, 10, 8, 13, 15, 12, 9, 0, 3, 5, 6, 11},
	}
	desShifts = []int{1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1}
)

func desCompute(password []byte, salt string) []byte {
	// The key: seven bits of each character, the eighth was for parity.
	key := make([]byte, 64)
	for i, c := range password[:min(8, len(password))] {
		for bit := range 7 {
			key[i*8+bit] = c >> (6 - bit) & 1
		}
	}
	keys := desKeys(key)
	// The salt: each of its twelve bits swaps two bits of E.
	expansion := append([]byte(nil), desE...)
	for i := range 2 {
		bits := strings.IndexByte(cryptText, salt[i])
		for bit := range 6 {
			if bits>>bit&1 != 0 {
				at := i*6 + bit
				expansion[at], expansion[at+24] = expansion[at+24], expansion[at]
			}
		}
	}
	block := make([]byte, 66) // two more for the last digit, always 0
	for range 25 {
		copy(block, desEncrypt(block[:64], keys, expansion))
	}
	out := append(make([]byte, 0, 13), salt...)
	for i := 0; i < 66; i += 6 {
		digit := 0
		for _, bit := range block[i : i+6] {
			digit = digit<<1 | int(bit)
		}
		out = append(out, cryptText[digit])
	}
	return out
}

func permute(dst, bits, table []byte) []byte {
	for i, from := range table {
		dst[i] = bits[from-1]
	}
	return dst[:len(table)]
}

func desKeys(key []byte) (keys [16][]byte) {
	cd := permute(make([]byte, 56), key, desPC1)
	c, d := cd[:28], cd[28:]
	for round, shifts := range desShifts {
		for range shifts {
			for _, half := range [][]byte{c, d} {
				first := half[0]
				copy(half, half[1:])
				half[27] = first
			}
		}
		keys[round] = permute(make([]byte, 48), cd, desPC2)
	}
	return keys
}

func desEncrypt(block []byte, keys [16][]byte, expansion []byte) []byte {
	var work [64]byte
	lr := permute(work[:], block, desIP)
	l, r := lr[:32], lr[32:]
	var expanded [48]byte
	var chosen, f [32]byte
	for _, key := range keys {
		permute(expanded[:], r, expansion)
		for i := range expanded {
			expanded[i] ^= key[i]
		}
		for box := range desS {
			six := expanded[box*6 : box*6+6]
			row := six[0]<<1 | six[5]
			column := six[1]<<3 | six[2]<<2 | six[3]<<1 | six[4]
			four := desS[box][row<<4|column]
			for bit := range 4 {
				chosen[box*4+bit] = four >> (3 - bit) & 1
			}
		}
		permute(f[:], chosen[:], desP)
		for i := range f {
			l[i], r[i] = r[i], l[i]^f[i]
		}
	}
	var last [64]byte
	copy(last[:32], r) // the halves are not swapped after the last round
	copy(last[32:], l)
	return permute(make([]byte, 64), last[:], desFP)
}
