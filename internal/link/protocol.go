package link

// TCP is the protocol of an address at which nothing is known of what is spoken: streams
// lead there, requests do not.
const TCP = "tcp"
