package static

import (
	"bytes"
	"fmt"
	"strings"

	"emperor/router/http1"
)

// The table is compiled in, so that a site looks the same on every machine. Text
// is UTF-8; a page that says otherwise in itself needs a type of its own
// (mimefile).

// text are the types below text/, whose charset is said, and their extensions.
const text = `
text/html           html htm shtml
text/css            css
text/javascript     js mjs cjs
text/plain          txt text log conf cfg ini list diff patch asc srt sub nfo c h cc cpp cxx hpp hh cs go rs java kt swift py rb pl pm sh bash zsh lua sql r scala tex bib
text/csv            csv
text/tab-separated-values tsv
text/markdown       md markdown
text/calendar       ics ifb
text/vcard          vcf vcard
text/vtt            vtt
text/xml            xsl
text/cache-manifest appcache
text/x-component    htc
text/mathml         mml
text/troff          roff
text/jsx            jsx
text/typescript     tsx
`

const binary = `
application/atom+xml            atom
application/epub+zip            epub
application/geo+json            geojson
application/gpx+xml             gpx
application/gzip                gz tgz
application/java-archive        jar war ear
application/json                json map
application/json5               json5
application/ld+json             jsonld
application/manifest+json       webmanifest
application/mac-binhex40        hqx
application/msword              doc dot
application/octet-stream        bin exe dll deb dmg iso img msi msp msm
application/ogg                 ogx
application/pdf                 pdf
application/pgp-encrypted       pgp gpg
application/pgp-signature       sig
application/pkix-cert           cer
application/postscript          ps eps ai
application/rdf+xml             rdf owl
application/rss+xml             rss
application/rtf                 rtf
application/sparql-query        rq
application/toml                toml
application/vnd.android.package-archive apk
application/vnd.apple.installer+xml mpkg
application/vnd.apple.mpegurl   m3u8
application/vnd.google-earth.kml+xml kml
application/vnd.google-earth.kmz kmz
application/vnd.ms-cab-compressed cab
application/vnd.ms-excel        xls xlt
application/vnd.ms-fontobject   eot
application/vnd.ms-powerpoint   ppt pps
application/vnd.oasis.opendocument.graphics odg
application/vnd.oasis.opendocument.presentation odp
application/vnd.oasis.opendocument.spreadsheet ods
application/vnd.oasis.opendocument.text odt
application/vnd.openxmlformats-officedocument.presentationml.presentation pptx
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet xlsx
application/vnd.openxmlformats-officedocument.wordprocessingml.document docx
application/vnd.rar             rar
application/vnd.sqlite3         sqlite sqlite3 db
application/vnd.visio           vsd
application/wasm                wasm
application/x-7z-compressed     7z
application/x-bzip2             bz2
application/x-chrome-extension  crx
application/x-cocoa             cco
application/x-java-archive-diff jardiff
application/x-java-jnlp-file    jnlp
application/x-makeself          run
application/x-ndjson            ndjson jsonl
application/x-perl              cgi
application/x-pilot             prc pdb
application/x-redhat-package-manager rpm
application/x-sea               sea
application/x-shockwave-flash   swf
application/x-stuffit           sit
application/x-tar               tar
application/x-tcl               tcl tk
application/x-x509-ca-cert      der pem crt
application/x-xpinstall         xpi
application/x-xz                xz
application/xhtml+xml           xhtml xht
application/xml                 xml
application/xml-dtd             dtd
application/xslt+xml            xslt
application/xspf+xml            xspf
application/yaml                yaml yml
application/zip                 zip
application/zstd                zst
application/dash+xml            mpd
application/vnd.apple.pkpass    pkpass
application/vnd.mapbox-vector-tile mvt
application/vnd.geo+json        topojson
application/protobuf            pb
application/vnd.apache.parquet  parquet
audio/aac                       aac
audio/amr                       amr
audio/basic                     au snd
audio/flac                      flac
audio/matroska                  mka
audio/midi                      mid midi kar
audio/mp4                       m4a
audio/mpeg                      mp3 mpga
audio/ogg                       ogg oga opus spx
audio/wav                       wav
audio/webm                      weba
audio/x-aiff                    aif aiff
audio/x-mpegurl                 m3u
audio/x-realaudio               ra
font/collection                 ttc
font/otf                        otf
font/ttf                        ttf
font/woff                       woff
font/woff2                      woff2
image/apng                      apng
image/avif                      avif
image/bmp                       bmp
image/gif                       gif
image/heic                      heic
image/heif                      heif
image/jpeg                      jpg jpeg jpe jfif
image/jp2                       jp2
image/jxl                       jxl
image/png                       png
image/svg+xml                   svg
image/tiff                      tif tiff
image/vnd.adobe.photoshop       psd
image/vnd.djvu                  djvu djv
image/vnd.wap.wbmp              wbmp
image/webp                      webp
image/x-icon                    ico cur
image/x-jng                     jng
message/rfc822                  eml mht mhtml
model/gltf-binary               glb
model/gltf+json                 gltf
model/obj                       obj
model/stl                       stl
model/vnd.usdz+zip              usdz
video/3gpp                      3gp 3gpp
video/3gpp2                     3g2
video/matroska                  mkv
video/mp2t                      ts m2ts
video/mp4                       mp4 m4v m4s
video/mpeg                      mpg mpeg mpe
video/ogg                       ogv
video/quicktime                 mov qt
video/webm                      webm
video/x-flv                     flv
video/x-mng                     mng
video/x-ms-asf                  asf asx
video/x-ms-wmv                  wmv
video/x-msvideo                 avi
`

// unknownType: with nosniff, a browser saves it.
var unknownType = []byte("application/octet-stream")

// mediaTypes by extension in lower case.
var mediaTypes = func() map[string][]byte {
	table := map[string][]byte{}
	for list, charset := range map[string]string{text: "; charset=utf-8", binary: ""} {
		for line := range strings.Lines(list) {
			words := strings.Fields(line)
			for i, word := range words {
				if i > 0 {
					table[word] = []byte(words[0] + charset)
				}
			}
		}
	}
	return table
}()

const longestExtension = 16

// mediaType finds the type of a file by its name.
func (s *Site) mediaType(name []byte) []byte {
	dot := bytes.LastIndexByte(name, '.')
	if dot < 0 || len(name)-dot-1 > longestExtension {
		return unknownType
	}
	var lower [longestExtension]byte
	extension := lower[:copy(lower[:], name[dot+1:])]
	for i, c := range extension {
		if 'A' <= c && c <= 'Z' {
			extension[i] = c | 0x20
		}
	}
	if t := s.types[string(extension)]; t != nil {
		return t
	}
	if t := mediaTypes[string(extension)]; t != nil {
		return t
	}
	return unknownType
}

// ParseTypes reads a file of media types as /etc/mime.types is (mimefile): a type
// and its extensions a line, # begins a comment. What follows a type's semicolon
// belongs to it, as in "text/html;charset=iso-8859-1 html".
func ParseTypes(content []byte) (map[string]string, error) {
	types := map[string]string{}
	number := 0
	for line := range strings.Lines(string(content)) {
		number++
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if !strings.Contains(words[0], "/") || !http1.ValidValue([]byte(words[0])) {
			return nil, fmt.Errorf("line %d: want a type as text/html and its extensions, got %q", number, words[0])
		}
		for _, extension := range words[1:] {
			types[strings.ToLower(strings.TrimPrefix(extension, "."))] = words[0]
		}
	}
	return types, nil
}
