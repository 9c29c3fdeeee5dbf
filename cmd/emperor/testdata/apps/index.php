<?php
// webapp.py's paths, and some that are only asked of PHP.
$path = explode('?', $_SERVER['REQUEST_URI'])[0];
switch ($path) {
case '/echo':
	$body = file_get_contents('php://input');
	header('Content-Length: ' . strlen($body));
	echo $body;
	break;
case '/slow':
	for ($i = 0; $i < 10 * (int) $_GET['s']; $i++) {
		echo '.';
		flush();
		usleep(100000);
	}
	echo 'done';
	break;
case '/vars':
	header('Content-Type: application/json');
	echo json_encode($_SERVER);
	break;
case '/fault':
	error_log('a line for the log');
	http_response_code(500);
	echo 'broken';
	break;
case '/crash':
	echo str_repeat('x', 100000);
	flush();
	posix_kill(posix_getpid(), 9);
	break;
default:
	header('Cache-Control: no-store');
	echo 'release ', trim(file_get_contents(__DIR__ . '/RELEASE')), ' ', getmypid();
}
