console.log('nothing listens');
