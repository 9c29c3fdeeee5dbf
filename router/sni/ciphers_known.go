package sni

import "crypto/tls"

// suite is one that both OpenSSL and Go have, for TLS 1.2 and older. RC4 and 3DES
// are left out: OpenSSL has not had them in its lists for years either.
type suite struct {
	id       uint16
	name     string // OpenSSL's
	standard string // the RFCs' and Go's, which OpenSSL reads as well
	has      uint32
}

// What a suite has, by which the words of a cipher string choose.
const (
	kECDHE = 1 << iota // key exchange
	kRSA
	aECDSA // authentication
	aRSA
	aes128 // encryption
	aes256
	chacha20
	gcm // mode and integrity
	cbc
	aead
	macSHA1
	macSHA256
	macSHA384
	tls12    // defined by TLS 1.2
	tls10    // by TLS 1.0
	ssl3     // by SSL 3
	insecure // Go says so
	all
)

var suites = []suite{
	{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", all | kECDHE | aECDSA | aes256 | gcm | aead | tls12},
	{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", all | kECDHE | aRSA | aes256 | gcm | aead | tls12},
	{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-ECDSA-CHACHA20-POLY1305", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", all | kECDHE | aECDSA | chacha20 | aead | tls12},
	{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", all | kECDHE | aRSA | chacha20 | aead | tls12},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", all | kECDHE | aECDSA | aes128 | gcm | aead | tls12},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", all | kECDHE | aRSA | aes128 | gcm | aead | tls12},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256, "ECDHE-ECDSA-AES128-SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", all | kECDHE | aECDSA | aes128 | cbc | macSHA256 | tls12 | insecure},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256, "ECDHE-RSA-AES128-SHA256", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", all | kECDHE | aRSA | aes128 | cbc | macSHA256 | tls12 | insecure},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, "ECDHE-ECDSA-AES256-SHA", "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", all | kECDHE | aECDSA | aes256 | cbc | macSHA1 | tls10},
	{tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, "ECDHE-RSA-AES256-SHA", "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", all | kECDHE | aRSA | aes256 | cbc | macSHA1 | tls10},
	{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, "ECDHE-ECDSA-AES128-SHA", "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", all | kECDHE | aECDSA | aes128 | cbc | macSHA1 | tls10},
	{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, "ECDHE-RSA-AES128-SHA", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", all | kECDHE | aRSA | aes128 | cbc | macSHA1 | tls10},
	{tls.TLS_RSA_WITH_AES_256_GCM_SHA384, "AES256-GCM-SHA384", "TLS_RSA_WITH_AES_256_GCM_SHA384", all | kRSA | aRSA | aes256 | gcm | aead | tls12 | insecure},
	{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, "AES128-GCM-SHA256", "TLS_RSA_WITH_AES_128_GCM_SHA256", all | kRSA | aRSA | aes128 | gcm | aead | tls12 | insecure},
	{tls.TLS_RSA_WITH_AES_128_CBC_SHA256, "AES128-SHA256", "TLS_RSA_WITH_AES_128_CBC_SHA256", all | kRSA | aRSA | aes128 | cbc | macSHA256 | tls12 | insecure},
	{tls.TLS_RSA_WITH_AES_256_CBC_SHA, "AES256-SHA", "TLS_RSA_WITH_AES_256_CBC_SHA", all | kRSA | aRSA | aes256 | cbc | macSHA1 | ssl3 | insecure},
	{tls.TLS_RSA_WITH_AES_128_CBC_SHA, "AES128-SHA", "TLS_RSA_WITH_AES_128_CBC_SHA", all | kRSA | aRSA | aes128 | cbc | macSHA1 | ssl3 | insecure},
}

// names13 are the suites of TLS 1.3. They cannot be chosen or left out.
var names13 = []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}

// aliases are the words that choose any of suites: those that have one of the bits.
var aliases = map[string]uint32{
	"ALL": all, "DEFAULT": all, "HIGH": all,
	"COMPLEMENTOFALL": 0, "COMPLEMENTOFDEFAULT": 0,

	"kECDHE": kECDHE, "kEECDH": kECDHE, "ECDHE": kECDHE, "EECDH": kECDHE, "ECDH": kECDHE,
	"kRSA": kRSA, "RSA": kRSA,
	"aECDSA": aECDSA, "ECDSA": aECDSA, "aRSA": aRSA,

	"AES": aes128 | aes256, "AES128": aes128, "AES256": aes256, "AESGCM": gcm, "CBC": cbc,
	"CHACHA20": chacha20,
	"SHA1":     macSHA1, "SHA": macSHA1, "SHA256": macSHA256, "SHA384": macSHA384, "FIPS": aes128 | aes256,

	"TLSv1.2": tls12, "TLSv1.0": tls10, "TLSv1": tls10, "SSLv3": ssl3,
}

// namingWords ask for a weak suite as plainly as its name does.
var namingWords = []string{"kRSA", "RSA", "SHA256"}

// foreignWords are OpenSSL's words for what Go does not have, or not in these
// suites. They are as good in "!MD5" as they are useless alone.
var foreignWords = []string{
	"MEDIUM", "LOW", "EXP", "EXPORT", "EXPORT40", "EXPORT56",
	"aNULL", "eNULL", "NULL", "ADH", "AECDH", "DH", "EDH", "DHE", "kDH", "kDHr", "kDHd", "kDHE", "kEDH", "aDH", "DSS", "aDSS",
	"kECDH", "kECDHr", "kECDHe", "aECDH", "kKRB5", "aKRB5", "KRB5", "kFZA", "aFZA", "eFZA", "FZA",
	"PSK", "kPSK", "kECDHEPSK", "kDHEPSK", "kRSAPSK", "aPSK", "SRP", "kSRP", "aSRP",
	"GOST", "GOST94", "GOST89", "GOST89MAC", "GOST12", "aGOST", "aGOST01", "aGOST12", "kGOST", "kGOST18",
	"DES", "3DES", "RC2", "RC4", "IDEA", "SEED", "MD5",
	"AESCCM", "AESCCM8", "CAMELLIA", "CAMELLIA128", "CAMELLIA256", "ARIA", "ARIA128", "ARIA256", "ARIAGCM", "SSLv2",
	"SUITEB128", "SUITEB128ONLY", "SUITEB128C2", "SUITEB192",
}

// helpfulWords are those that an error lists.
var helpfulWords = []string{"DEFAULT", "HIGH", "ALL", "ECDHE", "kRSA", "aECDSA", "aRSA", "AES", "AES128", "AES256", "AESGCM", "CHACHA20", "SHA1", "SHA256", "TLSv1.2", "@STRENGTH", "@SECLEVEL=N"}
