// The link of an invitation has its token as the fragment. This puts it into the form, and takes
// it out of the address bar. Without JavaScript the visitor copies it.
"use strict";

function take() {
	const token = location.hash.slice(1);
	if (!token) return;
	document.getElementById("token").value = token;
	history.replaceState(null, "", location.pathname);
	document.getElementById("password").focus();
}

take();
addEventListener("hashchange", take); // another link, opened while the page is there
